import type { Clock } from '../base/clock.ts';
import { AppError, isAppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { ObjectStore } from '../storage/index.ts';
import { isTerminal } from './batch-state.ts';
import type { BatchStore } from './batch-store.ts';
import { CheckpointStore } from './checkpoint-store.ts';
import type { LineJournal } from './line-journal.ts';
import { readLines } from './line-reader.ts';
import { loadPlan } from './plan-store.ts';
import type { BatchRecord, Line } from './records.schema.ts';
import { isPaused } from './token-budget.ts';
import { openUnitLog } from './unit-log.ts';
import { runUnit, type UnitLineAnswer } from './unit-runner.ts';

/** A line of a unit as the worker runs it. */
export interface JobLineTask {
  readonly batch: BatchRecord;
  readonly unitId: string;
  readonly line: Line;
  readonly seed: number;
  readonly signal: AbortSignal;
  /** What earlier owners of the unit left of the line, and where to write down how far it is. */
  readonly journal: LineJournal;
  /** As in `UnitLineTask`. */
  readonly beginAlone: (() => Promise<void>) | null;
}

export interface UnitJobDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  /** Name of this worker in claims. */
  readonly owner: string;
  readonly lineConcurrency: number;
  readonly runLine: (task: JobLineTask) => Promise<UnitLineAnswer>;
  /** Asks running engine requests for a checkpoint; resolves when all have given one, or have ended. */
  readonly askCheckpoints: (requestIds: readonly string[]) => Promise<void>;
  /** Most completion tokens by request id that were heard of under earlier owners of the unit. */
  readonly readHeard: (unit: UnitName) => Promise<ReadonlyMap<string, number>>;
  /** A checkpoint that a unit's log names could not be used; what was wrong with it is logged. */
  readonly onCheckpointLost: () => void;
  /** News after each segment with results. */
  readonly onSegment: (batch: BatchRecord, unitId: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What names a unit in a queue job. */
export interface UnitName {
  readonly tenant: string;
  readonly batchId: string;
  readonly unitId: string;
}

/**
 * Runs one queued unit from the store's truth. A job for a batch that is gone, or for a unit that is sealed, is done:
 * queue jobs are hints and may be late or double.
 * @throws what `runUnit` throws, except a cancel or pause of the batch, which ends the job quietly: the janitor seals
 *   the unit, or adds a new job when the batch goes on
 */
export async function runUnitJob(deps: UnitJobDeps, unit: UnitName, signal: AbortSignal): Promise<void> {
  const { tenant, batchId, unitId } = unit;
  const batch = await deps.batches.findBatch(tenant, batchId);
  if (batch === undefined || isTerminal(batch.status) || batch.status === 'cancelling' || isPaused(batch)) return;
  const plan = await loadPlan(deps.store, tenant, batchId);
  const planned = plan.units.find(({ id }) => id === unitId);
  if (planned === undefined) throw new AppError('corrupt.record', `plan of ${batchId} has no unit ${unitId}`);
  const lines = await readLines(
    deps.store,
    tenant,
    batchId,
    planned.lines.map(({ index }) => index),
  );
  try {
    await runUnit(
      {
        log: openUnitLog(deps.store, tenant, batchId, unitId),
        checkpoints: new CheckpointStore(deps.store, tenant, batchId, unitId),
        lines,
        unit: planned,
        owner: deps.owner,
        batchId,
        lineConcurrency: deps.lineConcurrency,
        runLine: (task) => deps.runLine({ batch, unitId, ...task }),
        askCheckpoints: deps.askCheckpoints,
        readHeard: () => deps.readHeard(unit),
        onCheckpointLost: deps.onCheckpointLost,
        onSegment: () => deps.onSegment(batch, unitId),
        clock: deps.clock,
        logger: deps.logger,
      },
      signal,
    );
  } catch (error) {
    if (isAppError(error) && (error.code === 'cancelled.by-user' || error.code === 'cancelled.paused')) return;
    throw error;
  }
}
