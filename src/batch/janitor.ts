import { type Clock, unixSeconds } from '../base/clock.ts';
import { isAppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/log.ts';
import type { EventBus, WorkQueue } from '../queue/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { canMove, isTerminal, moveBatch, patchBatch } from './batch-state.ts';
import type { BatchStore, OpenBatch } from './batch-store.ts';
import { BatchWatch } from './batch-watch.ts';
import { finalizeBatch } from './finalizer.ts';
import type { LineLimits } from './line-validation.ts';
import { mapConcurrent } from './map-concurrent.ts';
import type { BatchError, BatchRecord } from './records.schema.ts';
import { UnitDispatch } from './unit-dispatch.ts';
import { type Preparation, prepareBatch, preparedBatch } from './validate-batch.ts';

export interface JanitorDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: LineLimits;
}

const sweepMs = 2_000;
const sweptAtOnce = 4;
/** Counts of a running batch are written at most this often; the last ones always. */
const countsMs = 1_000;
/** Below this many units a hint is worth a look at once: somebody may be waiting for the only line. */
const eagerUnits = 8;
const shownErrors = 100;
/** Workers that may die on a unit without one result before it counts as the cause. */
const maxFruitlessClaims = 25;

/** What is remembered of a running batch between looks; all of it can be read again. */
interface Watched {
  readonly watch: BatchWatch;
  readonly dispatch: UnitDispatch;
  lookedMs: number;
  dispatchedMs: number;
  countedMs: number;
}

interface Turn {
  again: boolean;
  done: Promise<void>;
}

/**
 * Moves batches on: validates, plans, enqueues, counts, finalizes, expires. Owns no truth: every step starts from the
 * store, is safe to repeat, and safe next to another janitor.
 *
 * J1. The only writer of a batch's moves, except the API's move to `cancelling`.
 * J2. `handle` runs once at a time for one batch in one process; a hint that comes meanwhile leads to another run.
 * J3. A batch that cannot be handled does not stop the others.
 */
export class Janitor {
  readonly #deps: JanitorDeps;
  readonly #turns = new Map<string, Turn>();
  readonly #watched = new Map<string, Watched>();

  constructor(deps: JanitorDeps) {
    this.#deps = deps;
  }

  /** Sweeps until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.sweep().catch((err: unknown) => this.#deps.log.error({ err }, 'sweep failed'));
      await this.#deps.clock.sleep(sweepMs, signal).catch(() => {});
    }
  }

  /** Looks after every batch that is not final: catches hints that were lost and jobs that vanished. */
  async sweep(): Promise<void> {
    const { batches, log } = this.#deps;
    for await (const page of batches.listOpen()) {
      await mapConcurrent(page, sweptAtOnce, async (open) => {
        try {
          await this.#sweepOne(open);
        } catch (err) {
          log.error({ batchId: open.batchId, err }, 'batch could not be handled');
        }
      });
    }
  }

  async #sweepOne(open: OpenBatch): Promise<void> {
    const record = await this.#deps.batches.findBatch(open.tenant, open.batchId);
    if (record === undefined || isTerminal(record.status)) {
      await this.#deps.batches.closeMarker(open, record !== undefined);
      this.#watched.delete(open.batchId);
      return;
    }
    await this.handle(open.tenant, open.batchId);
  }

  /**
   * Does for one batch whatever can be done now.
   * @throws `transient.*` when a server is away, `corrupt.*` when a stored object is damaged: try again later
   */
  handle(tenant: string, batchId: string): Promise<void> {
    const running = this.#turns.get(batchId);
    if (running !== undefined) {
      running.again = true;
      return running.done;
    }
    const turn: Turn = { again: true, done: Promise.resolve() };
    turn.done = this.#takeTurn(turn, tenant, batchId).finally(() => this.#turns.delete(batchId));
    this.#turns.set(batchId, turn);
    return turn.done;
  }

  async #takeTurn(turn: Turn, tenant: string, batchId: string): Promise<void> {
    while (turn.again) {
      turn.again = false;
      const record = await this.#deps.batches.findBatch(tenant, batchId);
      if (record === undefined) return;
      try {
        if (await this.#step(record)) turn.again = true;
      } catch (error) {
        if (!(await this.#giveUp(record, error))) throw error;
        turn.again = true;
      }
    }
  }

  /** One step; true when the batch moved and another may follow. */
  async #step(record: BatchRecord): Promise<boolean> {
    switch (record.status) {
      case 'validating':
        return this.#isPast(record) ? this.#settle(record) : this.#validate(record);
      case 'in_progress':
        return this.#lookAfter(record);
      case 'finalizing':
      case 'cancelling':
        return this.#settle(record);
      case 'completed':
      case 'failed':
      case 'cancelled':
      case 'expired':
        this.#watched.delete(record.id);
        await failpoint('close.before-marker');
        await this.#deps.batches.closeMarker({ batchId: record.id, markedMs: 0 }, true);
        return false;
    }
  }

  async #validate(record: BatchRecord): Promise<boolean> {
    const preparation = await prepareBatch(this.#deps, record);
    if (preparation.type === 'rejected') {
      await this.#move(record, 'failed', rejection(preparation.errors));
    } else {
      const total = preparation.plan.units.reduce((sum, { lines }) => sum + lines.length, 0);
      const counts = { total, completed: 0, failed: 0 };
      await this.#move(record, 'in_progress', { model: preparation.model, request_counts: counts });
    }
    return true;
  }

  async #lookAfter(record: BatchRecord): Promise<boolean> {
    const watched = await this.#watch(record);
    if (watched === null) return false;
    const { watch } = watched;
    const nowMs = this.#deps.clock.nowMs();
    const isPast = this.#isPast(record);
    if (!isPast && watch.plan.units.length > eagerUnits && nowMs - watched.lookedMs < countsMs) return false;
    watched.lookedMs = nowMs;
    await watch.refresh();
    if (isPast) await watch.seal('expired');
    if (watch.isSealed) {
      await this.#move(record, 'finalizing', watch.progress());
      return true;
    }
    await this.#quarantine(watch);
    await this.#saveCounts(record, watched);
    await this.#dispatch(record, watched);
    return false;
  }

  async #watch(record: BatchRecord): Promise<Watched | null> {
    const known = this.#watched.get(record.id);
    if (known !== undefined) return known;
    const preparation = await preparedBatch(this.#deps, record);
    if (preparation.type === 'rejected') {
      // planned before, or it would not run: plan and input are gone, so nothing can come of it
      await this.#move(record, 'failed', rejection(preparation.errors));
      return null;
    }
    const watched: Watched = {
      watch: new BatchWatch(this.#deps.store, record, preparation.plan),
      dispatch: new UnitDispatch(this.#deps.queue),
      lookedMs: Number.NEGATIVE_INFINITY,
      dispatchedMs: Number.NEGATIVE_INFINITY,
      countedMs: Number.NEGATIVE_INFINITY,
    };
    this.#watched.set(record.id, watched);
    return watched;
  }

  async #quarantine(watch: BatchWatch): Promise<void> {
    for (const log of watch.openLogs()) {
      if (log.state.fruitlessClaims < maxFruitlessClaims) continue;
      this.#deps.log.error(
        { unitId: log.unitId, epoch: log.state.epoch },
        'unit set aside: its workers end without result',
      );
      await log.seal('quarantined');
    }
  }

  async #saveCounts(record: BatchRecord, watched: Watched): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    const progress = watched.watch.progress();
    const { completed, failed } = record.request_counts;
    const { request_counts: next } = progress;
    if (next.completed === completed && next.failed === failed) return;
    if (nowMs - watched.countedMs < countsMs) return;
    watched.countedMs = nowMs;
    await this.#update(record, (current) =>
      current.status === 'in_progress' ? patchBatch(current, progress) : current,
    );
  }

  async #dispatch(record: BatchRecord, watched: Watched): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - watched.dispatchedMs < sweepMs) return;
    const added = await watched.dispatch.ensureJobs(record, watched.watch);
    watched.dispatchedMs = nowMs;
    if (added > 0) this.#deps.log.info({ batchId: record.id, added }, 'units enqueued');
  }

  /** Brings a batch that is to end to its end: everything finished is kept, everything else gets an error line. */
  async #settle(record: BatchRecord): Promise<boolean> {
    const preparation = await preparedBatch(this.#deps, record);
    if (preparation.type === 'rejected') {
      await this.#move(record, record.status === 'cancelling' ? 'cancelled' : 'failed', rejection(preparation.errors));
      return true;
    }
    const { plan } = preparation;
    const reason = record.status === 'cancelling' ? 'cancelled' : 'expired';
    if (record.status !== 'finalizing') {
      const watch = this.#watched.get(record.id)?.watch ?? new BatchWatch(this.#deps.store, record, plan);
      if (reason === 'cancelled') await this.#deps.bus.publish({ type: 'batch-cancel', batchId: record.id });
      await failpoint('settle.before-seal');
      await watch.seal(reason);
    }
    const { isExpired, ...facts } = await finalizeBatch(this.#deps, record, plan);
    const patch = { ...facts, ...modelOf(record, preparation) };
    if (record.status === 'cancelling') await this.#move(record, 'cancelled', patch);
    else await this.#move(record, isExpired ? 'expired' : 'completed', patch);
    return true;
  }

  #isPast(record: BatchRecord): boolean {
    return unixSeconds(this.#deps.clock.nowMs()) >= record.expires_at;
  }

  /** Moves the batch unless somebody moved it since: then the next step starts from what it is now. */
  async #move(
    record: BatchRecord,
    to: Parameters<typeof moveBatch>[1],
    patch: Parameters<typeof moveBatch>[3],
  ): Promise<void> {
    const nowSeconds = unixSeconds(this.#deps.clock.nowMs());
    await failpoint('batch.before-move');
    await this.#update(record, (current) =>
      current.status === record.status ? moveBatch(current, to, nowSeconds, patch) : current,
    );
  }

  async #update(record: BatchRecord, change: (current: BatchRecord) => BatchRecord): Promise<void> {
    const { batches, bus, log } = this.#deps;
    const { status } = await batches.updateBatch(record.tenant, record.id, change);
    if (status !== record.status) log.info({ batchId: record.id, from: record.status, to: status }, 'batch moved');
    await bus.publish({ type: 'batch-change', batchId: record.id, status });
  }

  /**
   * A batch whose stored objects are damaged is kept for repair until its time is over; then it fails, because every
   * batch must come to an end. A version this program does not know is a matter for a newer program.
   */
  async #giveUp(record: BatchRecord, error: unknown): Promise<boolean> {
    if (!isAppError(error) || error.family !== 'corrupt' || error.code === 'corrupt.version') return false;
    if (!this.#isPast(record) || !canMove(record.status, 'failed')) return false;
    this.#deps.log.error({ batchId: record.id, err: error }, 'batch failed: its stored objects are damaged');
    const { total } = record.request_counts;
    await this.#move(record, 'failed', {
      ...rejection([
        { code: 'internal_error', message: 'stored objects of this batch are damaged', param: null, line: null },
      ]),
      request_counts: { total, completed: 0, failed: total },
    });
    return true;
  }
}

function rejection(errors: readonly BatchError[]): { errors: BatchError[]; error_total: number } {
  return { errors: errors.slice(0, shownErrors), error_total: errors.length };
}

/** A batch that ends while it is validated has no model yet. */
function modelOf(record: BatchRecord, { model }: Extract<Preparation, { type: 'planned' }>): { model: string | null } {
  return { model: record.model ?? model };
}
