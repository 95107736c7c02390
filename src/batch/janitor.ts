import { type Clock, unixSeconds } from '../base/clock.ts';
import { isAppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/log.ts';
import type { EventBus, WorkQueue } from '../queue/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { canMove, moveBatch, patchBatch } from './batch-state.ts';
import type { BatchStore, OpenBatch } from './batch-store.ts';
import { BatchWatch } from './batch-watch.ts';
import { finalizeBatch } from './finalizer.ts';
import { reportFinalizing } from './finalizing-progress.ts';
import { Gate } from './gate.ts';
import type { LineLimits } from './line-validation.ts';
import { mapConcurrent } from './map-concurrent.ts';
import { LineQuarantine } from './quarantine-lines.ts';
import type { BatchError, BatchRecord } from './records.schema.ts';
import { StoreTime } from './store-time.ts';
import { applyTokenBudget, isPaused } from './token-budget.ts';
import { UnitDispatch } from './unit-dispatch.ts';
import { type Preparation, prepareBatch, preparedBatch } from './validate-batch.ts';
import type { WebhookOutbox } from './webhook/webhook-outbox.ts';

export interface JanitorDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: LineLimits;
  /** Workers that must end without a word while a line runs alone, before it is set aside. @defaultValue 3 */
  readonly lineDeaths?: number;
  /** Where the ends of batches are told. Absent: nowhere. */
  readonly webhooks?: Pick<WebhookOutbox, 'enqueue'>;
}

const sweepMs = 2_000;
const sweptAtOnce = 4;
/** Counts of a running batch are written at most this often; the last ones always. */
const countsMs = 1_000;
/** Below this many units a hint is worth a look at once: somebody may be waiting for the only line. */
const eagerUnits = 8;
const shownErrors = 100;
const defaultLineDeaths = 3;
/** Input files read and result files written at the same time. */
const heavyAtOnce = 2;

/** What is remembered of a running batch between looks; all of it can be read again. */
interface Watched {
  readonly watch: BatchWatch;
  readonly dispatch: UnitDispatch;
  readonly quarantine: LineQuarantine;
  lookedMs: number;
  dispatchedMs: number;
  countedMs: number;
}

interface Turn {
  again: boolean;
  done: Promise<void>;
  /** Resolves when what is left may take long: files of a whole batch are read or written. */
  readonly isLong: Promise<void>;
  readonly takesLong: () => void;
}

/**
 * Moves batches on: validates, plans, enqueues, counts, finalizes, expires. Owns no truth: every step starts from the
 * store, is safe to repeat, and safe next to another janitor.
 *
 * J1. The only writer of a batch's moves, except the API's move to `cancelling`.
 * J2. `handle` runs once at a time for one batch in one process; a hint that comes meanwhile leads to another run.
 * J3. A batch that cannot be handled, or takes long, does not stop the others: a cancel is seen within one sweep.
 * J4. What ends by time ends by the store's clock.
 */
export class Janitor {
  readonly #deps: JanitorDeps;
  readonly #turns = new Map<string, Turn>();
  readonly #watched = new Map<string, Watched>();
  readonly #heavy = new Gate(heavyAtOnce);
  readonly #time: StoreTime;

  constructor(deps: JanitorDeps) {
    this.#deps = deps;
    this.#time = new StoreTime(deps.store, deps.clock);
  }

  /** Sweeps until the signal aborts, then waits for what it began. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#sweepAll(({ done, isLong }) => Promise.race([done, isLong])).catch((err: unknown) =>
        this.#deps.log.error({ err }, 'sweep failed'),
      );
      await this.#deps.clock.sleep(sweepMs, signal).catch(() => {});
    }
    await Promise.allSettled([...this.#turns.values()].map(({ done }) => done));
  }

  /** Looks after every batch that is not final: catches hints that were lost and jobs that vanished. */
  sweep(): Promise<void> {
    return this.#sweepAll(({ done }) => done);
  }

  async #sweepAll(enough: (turn: Turn) => Promise<void>): Promise<void> {
    const { batches, log } = this.#deps;
    await this.#time.check();
    for await (const page of batches.listOpen()) {
      await mapConcurrent(page, sweptAtOnce, async (open) => {
        try {
          await this.#sweepOne(open, enough);
        } catch (err) {
          log.error({ batchId: open.batchId, err }, 'batch could not be handled');
        }
      });
    }
    await batches.sweepDeleted(this.#time, log);
  }

  async #sweepOne(open: OpenBatch, enough: (turn: Turn) => Promise<void>): Promise<void> {
    const { batches, log } = this.#deps;
    if ((await batches.findBatch(open.tenant, open.batchId)) === undefined) {
      await batches.closeMarker(open, false);
      this.#watched.delete(open.batchId);
      return;
    }
    const turn = this.#beginTurn(open.tenant, open.batchId);
    const logged = turn.done.catch((err: unknown) => {
      log.error({ batchId: open.batchId, err }, 'batch could not be handled');
    });
    await enough({ ...turn, done: logged });
  }

  /**
   * Does for one batch whatever can be done now.
   * @throws `transient.*` when a server is away, `corrupt.*` when a stored object is damaged: try again later
   */
  handle(tenant: string, batchId: string): Promise<void> {
    return this.#beginTurn(tenant, batchId).done;
  }

  #beginTurn(tenant: string, batchId: string): Turn {
    const running = this.#turns.get(batchId);
    if (running !== undefined) {
      running.again = true;
      return running;
    }
    let takesLong: () => void = () => {};
    const isLong = new Promise<void>((resolve) => {
      takesLong = resolve;
    });
    const turn: Turn = { again: true, done: Promise.resolve(), isLong, takesLong };
    turn.done = this.#takeTurn(turn, tenant, batchId).finally(() => this.#turns.delete(batchId));
    this.#turns.set(batchId, turn);
    return turn;
  }

  /** Work on the files of a whole batch: few at a time, and nobody waits for it who looks after others. */
  #runHeavy<Result>(record: BatchRecord, work: () => Promise<Result>): Promise<Result> {
    this.#turns.get(record.id)?.takesLong();
    return this.#heavy.run(work);
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
        return (await this.#isPast(record)) ? this.#settle(record) : this.#validate(record);
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
        await this.#deps.webhooks?.enqueue(record);
        await failpoint('close.before-marker');
        await this.#deps.batches.closeMarker({ batchId: record.id, markedMs: 0 }, true);
        return false;
    }
  }

  async #validate(record: BatchRecord): Promise<boolean> {
    const preparation = await this.#runHeavy(record, () => prepareBatch(this.#deps, record));
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
    const isPast = await this.#isPast(record);
    if (!isPast && watch.plan.units.length > eagerUnits && nowMs - watched.lookedMs < countsMs) return false;
    watched.lookedMs = nowMs;
    await watch.refresh();
    if (isPast) await watch.seal('expired');
    if (watch.isSealed) {
      await this.#move(record, 'finalizing', watch.progress());
      return true;
    }
    await watched.quarantine.look(record, watch);
    if (watch.isSealed) return true;
    if (await this.#checkBudget(record, watched)) return false;
    await this.#saveCounts(record, watched);
    await this.#dispatch(record, watched);
    return false;
  }

  /** Does the budget keep the batch from going on? Told at every look, because news may be lost. */
  async #checkBudget(record: BatchRecord, { watch }: Watched): Promise<boolean> {
    if (record.token_budget === undefined && record.paused_at === undefined) return false;
    const progress = watch.progress();
    const nowSeconds = unixSeconds(this.#deps.clock.nowMs());
    const apply = (current: BatchRecord): BatchRecord => applyTokenBudget(current, progress, nowSeconds);
    const next = apply(record) === record ? record : await this.#update(record, apply);
    if (!isPaused(next)) return false;
    await this.#deps.bus.publish({ type: 'batch-pause', batchId: record.id });
    return true;
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
      quarantine: new LineQuarantine({ ...this.#deps, lineDeaths: this.#deps.lineDeaths ?? defaultLineDeaths }),
      lookedMs: Number.NEGATIVE_INFINITY,
      dispatchedMs: Number.NEGATIVE_INFINITY,
      countedMs: Number.NEGATIVE_INFINITY,
    };
    this.#watched.set(record.id, watched);
    return watched;
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
    const preparation = await preparedBatch(this.#deps, record, (work) => this.#runHeavy(record, work));
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
    const { isExpired, ...facts } = await this.#runHeavy(record, () =>
      finalizeBatch({ ...this.#deps, onProgress: reportFinalizing(this.#deps, record) }, record, plan),
    );
    const patch = { ...facts, ...modelOf(record, preparation) };
    if (record.status === 'cancelling') await this.#move(record, 'cancelled', patch);
    else await this.#move(record, isExpired ? 'expired' : 'completed', patch);
    return true;
  }

  #isPast(record: BatchRecord): Promise<boolean> {
    return this.#time.isPast(record.expires_at * 1000);
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

  async #update(record: BatchRecord, change: (current: BatchRecord) => BatchRecord): Promise<BatchRecord> {
    const { batches, bus, log } = this.#deps;
    const next = await batches.updateBatch(record.tenant, record.id, change);
    const { status } = next;
    if (status !== record.status) log.info({ batchId: record.id, from: record.status, to: status }, 'batch moved');
    if (isPaused(next) !== isPaused(record)) log.info({ batchId: record.id, paused: isPaused(next) }, 'token budget');
    await bus.publish({ type: 'batch-change', batchId: record.id, status });
    return next;
  }

  /**
   * A batch whose stored objects are damaged is kept for repair until its time is over; then it fails, because every
   * batch must come to an end. A version this program does not know is a matter for a newer program.
   */
  async #giveUp(record: BatchRecord, error: unknown): Promise<boolean> {
    if (!isAppError(error) || error.family !== 'corrupt' || error.code === 'corrupt.version') return false;
    if (!(await this.#isPast(record)) || !canMove(record.status, 'failed')) return false;
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
