import { type BatchProgress, type BatchRecord, describePause } from '../batch/index.ts';
import type { EventBus, UnitProgress, WorkQueue } from '../queue/index.ts';

/** The line in work. `tokens` counts what was read and written so far; `pages_read` is null while that is unknown. */
export interface CurrentLine {
  readonly custom_id: string;
  readonly step: string;
  readonly pages_read: number | null;
  readonly tokens: number;
}

export interface DropStatus {
  readonly version: 1;
  readonly batch_id: string;
  readonly status: BatchRecord['status'];
  readonly request_counts: BatchRecord['request_counts'];
  readonly current: CurrentLine | null;
  readonly wait_reason: string | null;
  readonly eta_seconds: number | null;
  /** ISO 8601. */
  readonly at: string;
}

/** What a batch is doing now, from Redis: it may be missing, and is never an error. */
export interface Activity {
  readonly current: CurrentLine | null;
  readonly waitReason: string | null;
}

export function buildStatus(
  batch: BatchRecord,
  progress: BatchProgress | null,
  activity: Activity,
  nowMs: number,
): DropStatus {
  const isRunning = batch.status === 'in_progress';
  const counts = isRunning && progress !== null ? progress.request_counts : batch.request_counts;
  return {
    version: 1,
    batch_id: batch.id,
    status: batch.status,
    request_counts: counts,
    current: activity.current,
    wait_reason: activity.waitReason,
    eta_seconds: isRunning ? estimateSeconds(counts, batch.in_progress_at, nowMs) : null,
    at: new Date(nowMs).toISOString(),
  };
}

/** Equal but for the time, and for what follows from it? */
export function saysTheSame(a: DropStatus, b: DropStatus): boolean {
  const untimed = (status: DropStatus): string => JSON.stringify({ ...status, at: '', eta_seconds: null });
  return untimed(a) === untimed(b);
}

/** Fewer finished lines than this say nothing about the rest. */
const minFinished = 3;

/** At the pace so far; null while that is unknown. */
function estimateSeconds(
  { total, completed, failed }: BatchRecord['request_counts'],
  startedAt: number | null,
  nowMs: number,
): number | null {
  const finished = completed + failed;
  if (startedAt === null || finished < minFinished || finished >= total) return null;
  const elapsedSeconds = Math.max(1, nowMs / 1_000 - startedAt);
  return Math.ceil((elapsedSeconds / finished) * (total - finished));
}

const countsKeptMs = 1_000;

/** Reads activity of many batches; the queue is counted once a second at most. */
export class ActivityReader {
  readonly #bus: EventBus;
  readonly #queue: WorkQueue;
  readonly #nowMs: () => number;
  #counted: { readonly atMs: number; readonly counts: ReturnType<WorkQueue['counts']> } | null = null;

  constructor(bus: EventBus, queue: WorkQueue, nowMs: () => number) {
    this.#bus = bus;
    this.#queue = queue;
    this.#nowMs = nowMs;
  }

  async read(batch: BatchRecord): Promise<Activity> {
    switch (batch.status) {
      case 'completed':
      case 'failed':
      case 'expired':
      case 'cancelled':
        return { current: null, waitReason: null };
      case 'validating':
        return { current: null, waitReason: 'the input is being checked and planned' };
      case 'finalizing':
        return { current: null, waitReason: 'the result files are being written' };
      case 'cancelling':
        return { current: null, waitReason: 'running units are being stopped' };
      case 'in_progress': {
        const pause = describePause(batch);
        return pause === null ? this.#readRunning(batch.id) : { current: null, waitReason: pause };
      }
    }
  }

  async #readRunning(batchId: string): Promise<Activity> {
    try {
      const units = await this.#bus.readProgress(batchId);
      const newest = units.reduce<UnitProgress | null>(
        (best, unit) => (best === null || unit.atMs > best.atMs ? unit : best),
        null,
      );
      if (newest !== null) return { current: presentUnit(newest), waitReason: null };
      return { current: null, waitReason: describeQueue(await this.#count()) };
    } catch {
      return { current: null, waitReason: 'the work queue is unreachable; the batch goes on when it is back' };
    }
  }

  #count(): ReturnType<WorkQueue['counts']> {
    const nowMs = this.#nowMs();
    if (this.#counted === null || nowMs - this.#counted.atMs >= countsKeptMs) {
      this.#counted = { atMs: nowMs, counts: this.#queue.counts() };
    }
    return this.#counted.counts;
  }
}

function presentUnit({ customId, step, prefilledTokens, completionTokens }: UnitProgress): CurrentLine {
  return { custom_id: customId, step, pages_read: null, tokens: prefilledTokens + completionTokens };
}

/** No figures: they belong to others, and each change of one would be a change of every waiting drop's status. */
function describeQueue({ waiting, active, delayed }: Awaited<ReturnType<WorkQueue['counts']>>): string {
  if (active > 0) return 'queued behind other work';
  if (waiting > 0) return 'queued: no worker is running';
  if (delayed > 0) return 'put off: it will be tried again soon';
  return 'being put into the work queue';
}
