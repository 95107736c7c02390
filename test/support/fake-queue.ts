import { AppError } from '../../src/base/errors.ts';
import type { EngineReport, EventBus, WorkQueue } from '../../src/queue/index.ts';
import type { ControlJob, QuireEvent, UnitJob, UnitProgress } from '../../src/queue/messages.schema.ts';
import type { JobPriority } from '../../src/queue/ports.ts';

/** A work queue in memory that records what was put into it. `away` makes it fail as Redis does when it is gone. */
export class FakeQueue implements WorkQueue {
  away = false;
  readonly units: { readonly job: UnitJob; readonly epoch: number; readonly priority: JobPriority }[] = [];
  readonly controls: ControlJob[] = [];
  jobCounts = { waiting: 0, active: 0, delayed: 0 };

  async addUnit(job: UnitJob, epoch: number, priority: JobPriority): Promise<void> {
    this.#reach();
    if (!(await this.hasUnit(job, epoch))) this.units.push({ job, epoch, priority });
  }

  async hasUnit(job: UnitJob, epoch: number): Promise<boolean> {
    this.#reach();
    return this.units.some(
      (known) => known.job.batchId === job.batchId && known.job.unitId === job.unitId && known.epoch === epoch,
    );
  }

  async addControl(job: ControlJob): Promise<void> {
    this.#reach();
    this.controls.push(job);
  }

  async ping(): Promise<void> {
    this.#reach();
  }

  async counts(): Promise<{ waiting: number; active: number; delayed: number }> {
    this.#reach();
    return this.jobCounts;
  }

  async close(): Promise<void> {}

  #reach(): void {
    if (this.away) throw new AppError('transient.queue-unreachable', 'redis is away');
  }
}

/** An event bus in memory: listeners hear at once, progress stays until cleared. */
export class FakeBus implements EventBus {
  readonly events: QuireEvent[] = [];
  /** What workers said of their engines. */
  readonly engines = new Map<string, EngineReport['stats']>();
  readonly #listeners = new Set<(event: QuireEvent) => void>();
  readonly #progress = new Map<string, Map<string, UnitProgress>>();

  get listenerTotal(): number {
    return this.#listeners.size;
  }

  async publish(event: QuireEvent): Promise<void> {
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  subscribe(listener: (event: QuireEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async saveProgress(batchId: string, progress: UnitProgress): Promise<void> {
    const units = this.#progress.get(batchId) ?? new Map<string, UnitProgress>();
    this.#progress.set(batchId, units.set(progress.unitId, progress));
  }

  async clearProgress(batchId: string, unitId: string): Promise<void> {
    this.#progress.get(batchId)?.delete(unitId);
  }

  async readProgress(batchId: string): Promise<readonly UnitProgress[]> {
    return [...(this.#progress.get(batchId)?.values() ?? [])];
  }

  async saveEngineStats(workerId: string, stats: object): Promise<void> {
    this.engines.set(workerId, JSON.parse(JSON.stringify(stats)));
  }

  async readEngineStats(): Promise<readonly EngineReport[]> {
    return [...this.engines].map(([workerId, stats]) => ({ workerId, stats }));
  }

  async close(): Promise<void> {
    this.#listeners.clear();
  }
}
