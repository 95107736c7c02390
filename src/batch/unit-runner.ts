import { setMaxListeners } from 'node:events';
import type { Clock } from '../base/clock.ts';
import { isAppError, isFamily, toAppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/log.ts';
import type { CheckpointStore } from './checkpoint-store.ts';
import { type LineJournal, type LineState, UnitJournal } from './line-journal.ts';
import { laneTotal, mustRunAlone } from './line-suspicion.ts';
import { lineTokenOf } from './line-token.ts';
import type { Line, LineResult, PlannedUnit } from './records.schema.ts';
import { SegmentWriter } from './segment-writer.ts';
import type { UnitLog } from './unit-log.ts';

export interface UnitLineTask {
  readonly line: Line;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** What earlier owners of the unit left of the line, and where to write down how far it is. */
  readonly journal: LineJournal;
  /**
   * Not null: earlier owners ended without a word, and this line may be why. It is to run with nothing beside it in its
   * worker, and this is to be called right before it begins, so that its log says so.
   */
  readonly beginAlone: (() => Promise<void>) | null;
}

/** What a line came to: the body and status it would have had over HTTP. */
export interface UnitLineAnswer {
  readonly statusCode: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface UnitRunnerDeps {
  readonly log: UnitLog;
  readonly checkpoints: CheckpointStore;
  readonly lines: readonly Line[];
  readonly unit: PlannedUnit;
  readonly owner: string;
  readonly batchId: string;
  /** Lines in work at the same time. */
  readonly lineConcurrency: number;
  readonly runLine: (task: UnitLineTask) => Promise<UnitLineAnswer>;
  /** Asks running engine requests for a checkpoint; resolves when all have given one, or have ended. */
  readonly askCheckpoints: (requestIds: readonly string[]) => Promise<void>;
  /** Most completion tokens by request id that were heard of under earlier owners: evidence of waste, no more. */
  readonly readHeard: () => Promise<ReadonlyMap<string, number>>;
  /** A checkpoint that the log names could not be used; what was wrong with it is logged. */
  readonly onCheckpointLost: () => void;
  /** News after each segment with results, for whoever waits. */
  readonly onSegment: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between two looks for the first tokens of a line that runs alone: about ten tokens of a small model. */
const firstTokensMs = 150;

/** Ends after which somebody else goes on. */
const handoverCodes: readonly string[] = ['cancelled.shutdown', 'cancelled.paused'];

/**
 * Runs what is left of one unit: claim, lines, segments, seal.
 *
 * U1. A line whose result stands in the log is never run again; one that stands in the newest checkpoint goes on there.
 * U2. The claim comes before any line, so a stale owner can lose at most its unwritten segment.
 * U3. Losing a slot (`ownership.lost`) or a seal by somebody else stops everything at once, silently for the batch.
 * U4. A shutdown or pause lets the lines say where they are before it stops them: the next owner goes on from there.
 *
 * @throws `ownership.lost`, `cancelled.shutdown`, `cancelled.paused` (both after writing what is finished), `transient.*`
 */
export async function runUnit(deps: UnitRunnerDeps, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { log, checkpoints } = deps;
  const epoch = await log.claim(deps.owner);
  if (epoch === 'sealed') return;
  await failpoint('unit.after-claim');
  const done = log.state.results;
  const saved = (await loadStates(deps, epoch)).filter(({ index }) => !done.has(index));
  const heard = epoch === 1 ? new Map<string, number>() : await deps.readHeard();
  const stop = new AbortController();
  // every line in work listens: Node takes more than ten for a leak, and says so on stderr
  setMaxListeners(0, stop.signal);
  const journal = new UnitJournal({
    claims: epoch,
    saved,
    heard,
    onChange: (isLong) => writer.noteState(isLong),
  });
  const writer: SegmentWriter = new SegmentWriter({ ...deps, epoch, journal, onFailure: (error) => stop.abort(error) });
  const leave = async (): Promise<void> => {
    const { reason } = signal;
    const isHandover = isAppError(reason) && handoverCodes.includes(reason.code);
    // a failure here costs tokens, or is met again by whoever flushes next
    if (isHandover) await writer.askAll().catch(() => {});
    stop.abort(reason);
    if (isHandover) await writer.flushAll().catch(() => {});
  };
  const leaving = whenAborted(signal, leave);
  try {
    const seeds = new Map(deps.unit.lines.map(({ index, seed }) => [index, seed]));
    const todo = deps.lines.filter(({ index }) => !done.has(index));
    const lanes = laneTotal(deps.lineConcurrency, log.state.stuckClaims);
    await runAll(todo, lanes, { stop, signal }, async (line) => {
      const seed = seeds.get(line.index) ?? 0;
      const task = { line, seed, signal: stop.signal, journal: journal.open(line.index) };
      if (mustRunAlone(log.state.stuckClaims)) return runSuspect(deps, writer, task);
      await writer.add(lineResult(deps, line, await deps.runLine({ ...task, beginAlone: null })));
    });
    await leaving.end();
    stop.signal.throwIfAborted();
  } catch (error) {
    await leaving.end();
    // what is finished is kept, and how far the rest is, unless the unit is no longer ours
    if (!isFamily(error, 'ownership')) {
      await writer.flushAll().catch(() => {});
      await sayGoodbye(log);
    }
    writer.close();
    throw error;
  }
  await writer.flush().finally(() => writer.close());
  await failpoint('unit.before-seal');
  await log.seal('done');
  await failpoint('unit.before-job-end');
  // an owner before us may have left some even after we looked
  await tidy(deps, () => (epoch > 1 ? checkpoints.sweep(null) : checkpoints.clear()));
}

/** A line that may be why earlier owners ended. */
async function runSuspect(
  deps: UnitRunnerDeps,
  writer: SegmentWriter,
  task: Omit<UnitLineTask, 'beginAlone'>,
): Promise<void> {
  const { line } = task;
  const ended = new AbortController();
  const beginAlone = async (): Promise<void> => {
    await deps.log.noteAlone(line.index);
    void saveFirstTokens(deps, writer, ended.signal);
  };
  const answer = await deps.runLine({ ...task, beginAlone }).finally(() => ended.abort());
  await writer.add(lineResult(deps, line, answer));
  // it is cleared, and the next one may run beside others, once its result is written
  await writer.flush();
}

/** A suspect is cleared by its first tokens, so they are saved as soon as there are any. Ends with the line. */
async function saveFirstTokens(
  { log, clock }: UnitRunnerDeps,
  writer: SegmentWriter,
  ended: AbortSignal,
): Promise<void> {
  try {
    while (mustRunAlone(log.state.stuckClaims)) {
      await clock.sleep(firstTokensMs, ended);
      await writer.askAll();
      if (!ended.aborted) await writer.flushAll();
    }
  } catch {
    // the line has ended; or a write failed, which is met again by whoever flushes next
  }
}

/** An owner that stops in order leaves a word, so that no line is suspected of having ended it (`line-suspicion.ts`). */
async function sayGoodbye(log: UnitLog): Promise<void> {
  // results since the claim are word enough
  if (log.state.fruitlessClaims > 0) await log.append([]).catch(() => {});
}

/** Where earlier owners left the lines. A checkpoint that cannot be read costs its tokens, never the unit. */
async function loadStates(deps: UnitRunnerDeps, epoch: number): Promise<readonly LineState[]> {
  const { log, checkpoints, logger } = deps;
  const name = log.state.checkpoint;
  if (epoch > 1) await tidy(deps, () => checkpoints.sweep(name));
  if (name === null) return [];
  try {
    return await checkpoints.load(name);
  } catch (error) {
    if (!isFamily(error, 'corrupt')) throw error;
    const { code, message } = toAppError(error);
    const { batchId, unit } = deps;
    logger.error({ batchId, unitId: unit.id, epoch, code, err: message }, 'checkpoint is lost, lines start over');
    deps.onCheckpointLost();
    return [];
  }
}

/** Blobs that stay are found by the next owner, and go with the batch. */
async function tidy(deps: UnitRunnerDeps, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const { batchId, unit } = deps;
    deps.logger.debug({ batchId, unitId: unit.id, err: toAppError(error).message }, 'old checkpoints are still there');
  }
}

/** Runs `leave` once when the signal aborts; `end` waits for it if it has begun, and otherwise takes it back. */
function whenAborted(signal: AbortSignal, leave: () => Promise<void>): { end(): Promise<void> } {
  let left: Promise<void> = Promise.resolve();
  const begin = (): void => {
    left = leave();
  };
  if (signal.aborted) begin();
  else signal.addEventListener('abort', begin, { once: true });
  return {
    end: () => {
      signal.removeEventListener('abort', begin);
      return left;
    },
  };
}

/** A pool of workers over the items; the first failure aborts the others and waits for them. */
async function runAll<Item>(
  items: readonly Item[],
  concurrency: number,
  { stop, signal }: { readonly stop: AbortController; readonly signal: AbortSignal },
  run: (item: Item) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (const item of queue) {
      // what would be stopped at once is not begun
      if (signal.aborted || stop.signal.aborted) return;
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
