import type { ControlJob, QuireEvent, UnitJob, UnitProgress } from './messages.schema.ts';

export type JobPriority = 'interactive' | 'batch';

/** Puts work into Redis. All methods throw `transient.queue-unreachable` at once when Redis is away. */
export interface WorkQueue {
  /** Idempotent by job id: a job that is still there stays as it is. */
  addUnit(job: UnitJob, epoch: number, priority: JobPriority): Promise<void>;
  /** Is a job of this unit waiting, delayed or active, with this epoch? */
  hasUnit(job: UnitJob, epoch: number): Promise<boolean>;
  addControl(job: ControlJob): Promise<void>;
  ping(): Promise<void>;
  /** Jobs waiting and active, for metrics. */
  counts(): Promise<{ readonly waiting: number; readonly active: number; readonly delayed: number }>;
  close(): Promise<void>;
}

export interface JobContext {
  readonly jobId: string;
  /** Aborts when the job's lock is lost or the worker shuts down. */
  readonly signal: AbortSignal;
}

export type JobHandler<Job> = (job: Job, context: JobContext) => Promise<void>;

/** Takes work from Redis: created → running → draining → stopped. */
export interface Consumer {
  /** Stops fetching and waits for running jobs up to `graceMs`, then aborts their signals. */
  stop(graceMs: number): Promise<void>;
}

/** What a worker said last of its engine. */
export interface EngineReport {
  readonly workerId: string;
  /** Of whatever version the worker is. */
  readonly stats: Readonly<Record<string, unknown>>;
}

/** Volatile news between processes. Publishing never throws: news may be lost by contract. */
export interface EventBus {
  publish(event: QuireEvent): Promise<void>;
  subscribe(listener: (event: QuireEvent) => void): () => void;
  saveProgress(batchId: string, progress: UnitProgress): Promise<void>;
  clearProgress(batchId: string, unitId: string): Promise<void>;
  readProgress(batchId: string): Promise<readonly UnitProgress[]>;
  /** Figures of a worker's engine, any plain JSON. Forgotten when the worker is silent for 15 s. */
  saveEngineStats(workerId: string, stats: object): Promise<void>;
  /** Of every worker that is there, by its id. @throws `transient.queue-unreachable` */
  readEngineStats(): Promise<readonly EngineReport[]>;
  close(): Promise<void>;
}
