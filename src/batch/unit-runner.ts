import type { Clock } from '../base/clock.ts';
import { isAppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { lineTokenOf } from './line-token.ts';
import type { Line, LineResult, PlannedUnit } from './records.schema.ts';
import type { UnitLog } from './unit-log.ts';

/** A segment is written when this old or this full, whichever comes first. */
const segmentMs = 1_000;
const segmentLines = 64;

export interface UnitLineTask {
  readonly line: Line;
  readonly seed: number;
  readonly signal: AbortSignal;
}

/** What a line came to: the body and status it would have had over HTTP. */
export interface UnitLineAnswer {
  readonly statusCode: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface UnitRunnerDeps {
  readonly log: UnitLog;
  readonly lines: readonly Line[];
  readonly unit: PlannedUnit;
  readonly owner: string;
  readonly batchId: string;
  /** Lines in work at the same time. */
  readonly lineConcurrency: number;
  readonly runLine: (task: UnitLineTask) => Promise<UnitLineAnswer>;
  /** News after each segment, for whoever waits. */
  readonly onSegment: () => void;
  readonly clock: Clock;
}

/**
 * Runs what is left of one unit: claim, lines, segments, seal.
 *
 * U1. A line whose result stands in the log is never run again.
 * U2. The claim comes before any line, so a stale owner can lose at most its unwritten segment.
 * U3. Losing a slot (`ownership.lost`) or a seal by somebody else stops everything at once, silently for the batch.
 *
 * @throws `ownership.lost`, `cancelled.shutdown` (after writing what is finished), `transient.*`
 */
export async function runUnit(deps: UnitRunnerDeps, signal: AbortSignal): Promise<void> {
  const claimed = await deps.log.claim(deps.owner);
  if (claimed === 'sealed') return;
  await failpoint('unit.after-claim');
  const done = deps.log.state.results;
  const seeds = new Map(deps.unit.lines.map(({ index, seed }) => [index, seed]));
  const todo = deps.lines.filter(({ index }) => !done.has(index));
  const writer = new SegmentWriter(deps);
  const stop = new AbortController();
  const runSignal = AbortSignal.any([signal, stop.signal]);
  try {
    await runAll(todo, deps.lineConcurrency, stop, async (line) => {
      const result = await runLine(deps, line, seeds.get(line.index) ?? 0, runSignal);
      await writer.add(result);
    });
  } catch (error) {
    // what is finished is kept, unless the unit is no longer ours
    if (!(isAppError(error) && error.family === 'ownership')) await writer.flush().catch(() => {});
    throw error;
  }
  await writer.flush();
  await failpoint('unit.before-seal');
  await deps.log.seal('done');
  await failpoint('unit.before-job-end');
}

/** A pool of workers over the items; the first failure aborts the others and waits for them. */
async function runAll<Item>(
  items: readonly Item[],
  concurrency: number,
  stop: AbortController,
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      if (stop.signal.aborted) return;
      try {
        await run(item);
      } catch (error) {
        stop.abort(error);
        throw error;
      }
    }
  };
  const settled = await Promise.allSettled(Array.from({ length: concurrency }, worker));
  if (settled.some(({ status }) => status === 'rejected')) throw stop.signal.reason;
}

async function runLine(deps: UnitRunnerDeps, line: Line, seed: number, signal: AbortSignal): Promise<LineResult> {
  signal.throwIfAborted();
  return lineResult(deps, line, await deps.runLine({ line, seed, signal }));
}

function lineResult(deps: UnitRunnerDeps, line: Line, answer: UnitLineAnswer): LineResult {
  const token = lineTokenOf(deps.batchId, line.index);
  return {
    index: line.index,
    outcome: answer.statusCode < 400 ? 'completed' : 'failed',
    output: {
      id: `batch_req_${token}`,
      custom_id: line.custom_id,
      response: { status_code: answer.statusCode, request_id: `req_${token}`, body: answer.body },
      error: null,
    },
  };
}

/** Collects results into segments: at most one a second or 64 lines, one write at a time, in order. */
class SegmentWriter {
  readonly #deps: UnitRunnerDeps;
  #waiting: LineResult[] = [];
  #lastMs = 0;
  #timer: AbortController | null = null;
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: UnitRunnerDeps) {
    this.#deps = deps;
  }

  async add(result: LineResult): Promise<void> {
    this.#waiting.push(result);
    const dueMs = this.#lastMs + segmentMs - this.#deps.clock.nowMs();
    if (dueMs <= 0 || this.#waiting.length >= segmentLines) await this.flush();
    else this.#flushIn(dueMs);
  }

  /** Writes what waits. @throws also what an earlier write failed with: the log is in an unknown state then */
  flush(): Promise<void> {
    this.#timer?.abort();
    this.#timer = null;
    this.#writing = this.#writing.then(async () => {
      const results = this.#waiting;
      if (results.length === 0) return;
      this.#waiting = [];
      this.#lastMs = this.#deps.clock.nowMs();
      await failpoint('segment.before-write');
      await this.#deps.log.append(results);
      await failpoint('segment.before-news');
      this.#deps.onSegment();
    });
    return this.#writing;
  }

  /** A finished line does not wait for the next one to be seen. */
  #flushIn(dueMs: number): void {
    if (this.#timer !== null) return;
    this.#timer = new AbortController();
    this.#deps.clock.sleep(dueMs, this.#timer.signal).then(
      () => this.flush().catch(() => {}),
      () => {},
    );
  }
}
