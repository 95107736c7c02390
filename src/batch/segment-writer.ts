import type { Clock } from '../base/clock.ts';
import { isFamily, toAppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/log.ts';
import type { CheckpointStore } from './checkpoint-store.ts';
import type { UnitJournal } from './line-journal.ts';
import type { CheckpointName, LineResult } from './records.schema.ts';
import type { UnitLog } from './unit-log.ts';

/** Between two segments, and from the claim to the first checkpoint: a unit that ends sooner needs none. */
const segmentMs = 1_000;
const segmentLines = 64;
/** What is not worth a checkpoint of its own waits so long for one. */
const checkpointMs = 5_000;
/** How long a checkpoint waits for lines to say where they are: an engine answers between two of its steps. */
const askMs = 500;
/** The same when the unit is handed over: half of the 4 s that the queue leaves for all of it. */
const askLastMs = 2_000;

export interface SegmentWriterDeps {
  readonly log: UnitLog;
  readonly epoch: number;
  readonly checkpoints: CheckpointStore;
  readonly journal: UnitJournal;
  /** Asks running engine requests for a checkpoint; resolves when all have given one, or have ended. */
  readonly askCheckpoints: (requestIds: readonly string[]) => Promise<void>;
  /** News after each segment with results, for whoever waits. */
  readonly onSegment: () => void;
  /** A write that nobody waited for failed. */
  readonly onFailure: (error: unknown) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Collects results and checkpoints into segments: one write at a time, in order, at most one a second unless 64 lines
 * wait.
 *
 * W1. A line's result is in a segment, or its last state can be in a checkpoint, until it is: nothing falls between.
 * W2. A checkpoint is of all lines at once. When one line is due, every other is asked where it is, so that a unit
 *     writes one object an interval, however many lines it runs.
 * W3. A checkpoint that cannot be stored costs nothing but itself; a segment that cannot be written ends the run.
 */
export class SegmentWriter {
  readonly #deps: SegmentWriterDeps;
  #waiting: LineResult[] = [];
  /** Of the last segment, at first of the claim. */
  #lastMs: number;
  #checkpointAtMs = Number.POSITIVE_INFINITY;
  readonly #firstCheckpointMs: number;
  #asking = 0;
  #timer: { readonly dueMs: number; readonly stop: AbortController } | null = null;
  #writing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(deps: SegmentWriterDeps) {
    this.#deps = deps;
    this.#lastMs = deps.clock.nowMs();
    this.#firstCheckpointMs = this.#lastMs + segmentMs;
  }

  /** Waits for the store only when a whole segment is ready: until then the next line need not. */
  async add(result: LineResult): Promise<void> {
    this.#waiting.push(result);
    this.#deps.journal.close(result.index);
    if (this.#waiting.length >= segmentLines) await this.flush();
    else this.#flushAt(this.#lastMs + segmentMs);
  }

  /** A line is further. @param isLong it is worth a checkpoint as soon as there may be one */
  noteState(isLong: boolean): void {
    // it comes because it was asked for, and is in the checkpoint that is being made
    if (this.#asking > 0) return;
    const wantedMs = this.#deps.clock.nowMs() + (isLong ? 0 : checkpointMs);
    const dueMs = Math.max(wantedMs, this.#lastMs + segmentMs, this.#firstCheckpointMs);
    this.#checkpointAtMs = Math.min(this.#checkpointAtMs, dueMs);
    this.#flushAt(this.#checkpointAtMs);
  }

  /** Writes what waits. @throws also what an earlier write failed with: the log is in an unknown state then */
  flush(): Promise<void> {
    return this.#enqueue(async () => {
      const isDue = this.#checkpointAtMs <= this.#deps.clock.nowMs();
      if (isDue && this.#asking === 0 && this.#deps.journal.hasUnsaved) await this.#ask(askMs);
      await this.#write(isDue ? await this.#saveStates() : null);
    });
  }

  /** Lets every line that runs say where it is, before it is stopped. */
  askAll(): Promise<void> {
    return this.#ask(askLastMs);
  }

  /** Writes everything there is, results and a checkpoint of what was still running. */
  flushAll(): Promise<void> {
    return this.#enqueue(async () => this.#write(await this.#saveStates()));
  }

  /** Nothing is written behind this: the unit is sealed, or given back. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.stop.abort();
  }

  #enqueue(write: () => Promise<void>): Promise<void> {
    this.#timer?.stop.abort();
    this.#timer = null;
    this.#writing = this.#writing.then(write);
    return this.#writing;
  }

  async #write(checkpoint: CheckpointName | null): Promise<void> {
    const { checkpoints, clock, onSegment } = this.#deps;
    const results = this.#waiting;
    if (results.length > 0 || checkpoint !== null) {
      this.#waiting = [];
      this.#lastMs = clock.nowMs();
      await failpoint('segment.before-write');
      await this.#append(results, checkpoint);
      await failpoint('segment.before-news');
      if (results.length > 0) onSegment();
      if (checkpoint !== null) {
        await failpoint('checkpoint.before-prune');
        await this.#prune(() => checkpoints.supersede(checkpoint));
      }
    }
    if (this.#checkpointAtMs < Number.POSITIVE_INFINITY) this.#flushAt(this.#checkpointAtMs);
  }

  async #append(results: readonly LineResult[], checkpoint: CheckpointName | null): Promise<void> {
    const { log, checkpoints } = this.#deps;
    try {
      await log.append(results, checkpoint);
    } catch (error) {
      // the slot is somebody else's, so nothing will ever name it
      if (checkpoint !== null && isFamily(error, 'ownership')) await this.#prune(() => checkpoints.discard(checkpoint));
      throw error;
    }
  }

  /** @returns null when no line is further than the last checkpoint says, or this one could not be stored */
  async #saveStates(): Promise<CheckpointName | null> {
    const { journal, checkpoints, epoch, logger } = this.#deps;
    this.#checkpointAtMs = Number.POSITIVE_INFINITY;
    if (!journal.hasUnsaved) return null;
    const lines = journal.takeSnapshot();
    try {
      const name = await checkpoints.put(epoch, lines);
      await failpoint('checkpoint.before-segment');
      if (name !== 'too-large') return name;
      logger.warn({ epoch, lines: lines.length }, 'checkpoint is too large, lines would start over');
      return null;
    } catch (error) {
      if (!isFamily(error, 'transient')) throw error;
      logger.warn({ epoch, err: toAppError(error).message }, 'checkpoint cannot be stored now');
      journal.markUnsaved(lines);
      this.noteState(false);
      return null;
    }
  }

  async #ask(waitMs: number): Promise<void> {
    const { journal, clock, askCheckpoints } = this.#deps;
    const ids = journal.running;
    if (ids.length === 0) return;
    const stop = new AbortController();
    this.#asking += 1;
    try {
      const late = clock.sleep(waitMs, stop.signal).catch(() => {});
      await Promise.race([askCheckpoints(ids), late]);
    } finally {
      this.#asking -= 1;
      stop.abort();
    }
  }

  async #prune(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      // they go with the next ones, or with the batch
      this.#deps.logger.debug({ err: toAppError(error).message }, 'old checkpoints are still there');
    }
  }

  /** A finished line does not wait for the next one to be seen. */
  #flushAt(dueMs: number): void {
    if (this.#isClosed || (this.#timer !== null && this.#timer.dueMs <= dueMs)) return;
    this.#timer?.stop.abort();
    const stop = new AbortController();
    this.#timer = { dueMs, stop };
    this.#deps.clock.sleep(Math.max(0, dueMs - this.#deps.clock.nowMs()), stop.signal).then(
      () => this.flush().catch(this.#deps.onFailure),
      () => {},
    );
  }
}
