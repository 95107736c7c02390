import type { Clock } from '../base/clock.ts';
import { type AppError, isFamily, toAppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { type BatchProgress, type BatchRecord, findPlan, isTerminal } from '../batch/index.ts';
import type { WorkQueue } from '../queue/index.ts';
import { type AdmissionDeps, admitDrop } from './admit-drop.ts';
import { decideRecord } from './decide-record.ts';
import type { DropRecord } from './drop.schema.ts';
import type { Drop } from './drop.ts';
import type { DropLedger, Versioned } from './drop-ledger.ts';
import type { ActivityReader } from './drop-status.ts';
import { FencedOutputs } from './fenced-outputs.ts';
import { publishFinal } from './final-results.ts';
import { type OutputKeys, outputKeysOf } from './inbox-key.ts';
import { type DropSource, judgeDrop } from './judge-drop.ts';
import { PartialResults } from './partial-results.ts';
import { ReceiptWriter } from './receipt-writer.ts';
import { StatusWriter } from './status-writer.ts';

export interface TendingDeps extends AdmissionDeps {
  readonly ledger: DropLedger;
  readonly activity: ActivityReader;
  readonly queue: WorkQueue;
  readonly clock: Clock;
  readonly log: Logger;
}

/** `withdrawn`: as if it had never been there. */
export type StepOutcome = 'open' | 'finished' | 'withdrawn';

/** Failures for the drop's own sake before it is set aside. */
const maxFailures = 5;
/** Not even its receipt can be written. */
const hopelessFailures = 2 * maxFailures;
const raceWaitMs = 100;
const failureWaitMs = 1_000;
const maxFailureWaitMs = 30_000;
/** Unit logs are read when news of them comes, and without news so often. */
const refreshMs = 5_000;
/** While a line is in work its tokens move. */
const busyLookMs = 1_000;
const asClaimed = { state: 'claimed', reason: null } as const;

/**
 * One version of one object on its way from marker to results. Every step starts from the store and may be the first
 * one of this process; doing a step again changes nothing.
 */
export class TendedDrop {
  readonly drop: Drop;
  readonly readyMs: number | null;
  dueMs = 0;
  readonly #deps: TendingDeps;
  readonly #keys: OutputKeys;
  readonly #outputs: FencedOutputs;
  readonly #receipt: ReceiptWriter;
  readonly #status: StatusWriter;
  #source: DropSource | null = null;
  #partial: PartialResults | null = null;
  #progress: BatchProgress | null = null;
  #refreshedMs = Number.NEGATIVE_INFINITY;
  #isFinalPublished = false;
  #failures: number;
  /** Tries in a row that failed because something we need is away. */
  #outages = 0;
  #notBeforeMs = 0;

  constructor(deps: TendingDeps, drop: Drop, readyMs: number | null, failures = 0) {
    this.drop = drop;
    this.readyMs = readyMs;
    this.#deps = deps;
    this.#failures = failures;
    this.#keys = outputKeysOf(drop.key);
    this.#outputs = new FencedOutputs(deps.store, deps.ledger, drop);
    this.#receipt = new ReceiptWriter(deps, this.#outputs, this.#keys.receipt);
    this.#status = new StatusWriter(deps, this.#outputs, this.#keys.status);
  }

  /** News: look soon, and read the logs. */
  wake(atMs: number): void {
    this.#refreshedMs = Number.NEGATIVE_INFINITY;
    this.dueMs = Math.min(this.dueMs, Math.max(atMs, this.#notBeforeMs));
  }

  /** One step; `lookMs` is when to look again if nothing happens. Never throws. */
  async step(lookMs: number): Promise<StepOutcome> {
    this.dueMs = this.#deps.clock.nowMs() + lookMs;
    let outcome: StepOutcome;
    try {
      outcome = await this.#advance();
      this.#outages = 0;
    } catch (error) {
      outcome = await this.#handle(toAppError(error));
    }
    if (outcome !== 'open') await this.close();
    return outcome;
  }

  /** Frees what is local. */
  async close(): Promise<void> {
    await this.#partial?.close();
    this.#partial = null;
  }

  async #advance(): Promise<StepOutcome> {
    const { batches, tenant } = this.#deps;
    const decision = await decideRecord(this.#deps, this.drop, this.readyMs);
    if (decision === undefined) return this.#withdraw();
    this.#source = decision.source ?? this.#source;
    const record = await this.#clearEarlier(decision.record);
    const found = await batches.findBatch(tenant, this.drop.batchId);
    if (record.value.state !== 'claimed') {
      // it ran, before the rules changed: the same bytes under the same key never run twice, and its results are there
      if (record.value.state === 'rejected' && found !== undefined) return this.#decide(record, asClaimed);
      await this.#receipt.write(record.value, found ?? null);
      return this.#finish();
    }
    const batch = found ?? (await this.#admit(record));
    return typeof batch === 'string' ? batch : this.#publish(record, batch);
  }

  async #admit(record: Versioned<DropRecord>): Promise<BatchRecord | StepOutcome> {
    const { ledger, clock, log } = this.#deps;
    const source = this.#source ?? (await this.#judgeAgain(record));
    if (typeof source === 'string') return source;
    const claim = await ledger.claim(this.drop, record.value.size, clock.nowMs());
    const admission = await admitDrop(this.#deps, this.drop, claim, source);
    switch (admission.type) {
      case 'changed':
        return this.#withdraw();
      case 'unreadable':
        return this.#decide(record, { state: 'quarantined', reason: admission.reason });
      case 'admitted':
        this.#receipt.learn(admission.input);
        log.info({ batchId: admission.batch.id, key: this.drop.key }, 'drop became a batch');
        await this.#announce(admission.batch);
        return admission.batch;
    }
  }

  /** After a crash between decision and batch: the template may be another one by now. */
  async #judgeAgain(record: Versioned<DropRecord>): Promise<DropSource | StepOutcome> {
    const { store, rules } = this.#deps;
    const head = await store.head(this.drop.key);
    if (head === undefined || head.etag !== this.drop.etag) return this.#withdraw();
    const verdict = await judgeDrop(store, rules, this.drop, head);
    if (verdict.type === 'changed') return this.#withdraw();
    if (verdict.type === 'accepted') return verdict.source;
    return this.#decide(record, { state: 'rejected', reason: verdict.reason, judged_by: verdict.judgedBy });
  }

  /** The janitor's own sweep would find the batch too, a little later. */
  async #announce({ tenant, id }: BatchRecord): Promise<void> {
    const { queue, log } = this.#deps;
    await queue
      .addControl({ version: 1, tenant, batchId: id })
      .catch((err: unknown) => log.warn({ batchId: id, err }, 'batch stored without a hint to the janitor'));
  }

  async #publish(record: Versioned<DropRecord>, batch: BatchRecord): Promise<StepOutcome> {
    await this.#receipt.write(record.value, batch);
    if (isTerminal(batch.status)) return this.#publishEnd(record, batch);
    const nowMs = this.#deps.clock.nowMs();
    await this.#publishPartial(batch, nowMs);
    const activity = await this.#deps.activity.read(batch);
    if (activity.current !== null) this.dueMs = Math.min(this.dueMs, nowMs + busyLookMs);
    const statusDueMs = await this.#status.write(batch, this.#progress, activity);
    if (statusDueMs !== null) this.dueMs = Math.min(this.dueMs, statusDueMs);
    return 'open';
  }

  async #publishPartial(batch: BatchRecord, nowMs: number): Promise<void> {
    if (batch.status === 'validating') return;
    if (this.#partial === null) {
      const plan = await findPlan(this.#deps.store, batch.tenant, batch.id);
      if (plan === undefined) return;
      this.#partial = new PartialResults(this.#deps.store, batch, plan);
    }
    if (nowMs - this.#refreshedMs >= refreshMs) {
      await this.#outputs.prepare(this.#keys.results);
      this.#refreshedMs = nowMs;
      this.#progress = await this.#partial.refresh();
    }
    const dueMs = this.#partial.dueMs();
    if (dueMs === null) return;
    if (dueMs <= nowMs) await this.#partial.publish(this.#outputs, this.#keys.results, nowMs);
    else this.dueMs = Math.min(this.dueMs, dueMs);
  }

  /** Results, manifest, then the status that says so: whoever reads the status finds the rest. */
  async #publishEnd(record: Versioned<DropRecord>, batch: BatchRecord): Promise<StepOutcome> {
    const { store } = this.#deps;
    if (!this.#isFinalPublished) await publishFinal(store, this.#outputs, this.drop, this.#keys, batch);
    this.#isFinalPublished = true;
    const statusDueMs = await this.#status.write(batch, null, { current: null, waitReason: null });
    if (statusDueMs !== null) {
      this.dueMs = statusDueMs;
      return 'open';
    }
    if (batch.status !== 'failed') return this.#finish();
    const [first] = batch.errors;
    const reason = `the batch failed: ${first?.message ?? 'no reason is known'}`;
    return this.#decide(record, { state: 'quarantined', reason });
  }

  /** What is in the outbox about an earlier version goes before anything about this one comes. */
  async #clearEarlier(record: Versioned<DropRecord>): Promise<Versioned<DropRecord>> {
    if (record.value.cleared) return record;
    const { results, manifest, status } = this.#keys;
    await this.#outputs.remove([manifest, results, status]);
    const cleared = await this.#deps.ledger.saveRecord({ ...record.value, cleared: true }, record);
    return cleared ?? (await this.#clearEarlier(await this.#reread()));
  }

  async #reread(): Promise<Versioned<DropRecord>> {
    const record = await this.#deps.ledger.findRecord(this.drop.key);
    if (record?.value.etag === this.drop.etag) return record;
    throw this.#outputs.lost();
  }

  /** Changes the record, then starts over from it. */
  async #decide(record: Versioned<DropRecord>, change: Partial<DropRecord>): Promise<StepOutcome> {
    await this.#deps.ledger.saveRecord({ ...record.value, ...change, at_ms: this.#deps.clock.nowMs() }, record);
    return this.#again();
  }

  #again(): StepOutcome {
    this.#source = null;
    this.dueMs = this.#deps.clock.nowMs();
    return 'open';
  }

  async #finish(): Promise<StepOutcome> {
    await this.#deps.ledger.closeMarker(this.drop);
    return 'finished';
  }

  /** The object is gone or another one, and nothing runs for this version or nobody is to hear of it. */
  async #withdraw(): Promise<StepOutcome> {
    const { ledger, batches, store, tenant } = this.#deps;
    const { key, etag, batchId } = this.drop;
    const record = await ledger.findRecord(key);
    const isRunning = (await batches.findBatch(tenant, batchId)) !== undefined;
    if (record?.value.etag === etag) {
      if (isRunning) return record.value.state === 'claimed' ? this.#again() : this.#decide(record, asClaimed);
      await ledger.dropClaim(this.drop);
      const saved = await ledger.saveRecord({ ...record.value, state: 'withdrawn' }, record);
      // it may have come back, and somebody may have taken the record's word that it is claimed
      if (saved === undefined || (await store.head(key))?.etag === etag) return this.#again();
    } else if (isRunning) {
      await ledger.reopenCurrent(key);
    } else {
      await ledger.dropClaim(this.drop);
    }
    await ledger.closeMarker(this.drop);
    return 'withdrawn';
  }

  async #handle(error: AppError): Promise<StepOutcome> {
    const { log } = this.#deps;
    const { key } = this.drop;
    this.#source = null;
    this.#status.forget();
    // what others wrote must be known before the logs are read again
    this.#refreshedMs = Number.NEGATIVE_INFINITY;
    if (error.family === 'ownership') return this.#waitFor(raceWaitMs);
    if (isOutage(error)) {
      if (this.#outages === 0) log.warn({ key, err: error }, 'drop waits: something it needs is away');
      this.#outages += 1;
      return this.#waitFor(failureWaitMs * 2 ** Math.min(this.#outages - 1, 5));
    }
    this.#failures += 1;
    log.error({ key, failures: this.#failures, err: error }, 'drop failed');
    try {
      if (this.#failures >= hopelessFailures) return await this.#finish();
      await this.#deps.ledger.saveFailures(this.drop, this.readyMs, this.#failures);
      if (this.#failures >= maxFailures) await this.#quarantine(error);
    } catch (err) {
      log.warn({ key, err }, 'failure of a drop could not be noted');
    }
    return this.#waitFor(failureWaitMs * 2 ** Math.min(this.#failures - 1, 5));
  }

  async #quarantine(error: AppError): Promise<void> {
    const { ledger, clock } = this.#deps;
    const record = await ledger.findRecord(this.drop.key);
    if (record?.value.etag !== this.drop.etag || record.value.state === 'quarantined') return;
    const reason = isFamily(error, 'bug') ? `internal error: ${error.message}` : error.message;
    await ledger.saveRecord({ ...record.value, state: 'quarantined', reason, at_ms: clock.nowMs() }, record);
  }

  #waitFor(ms: number): StepOutcome {
    this.#notBeforeMs = this.#deps.clock.nowMs() + Math.min(ms, maxFailureWaitMs);
    this.dueMs = this.#notBeforeMs;
    return 'open';
  }
}

/** Not the drop's fault: also a store that refuses us, which somebody must put right. */
function isOutage({ family, code }: AppError): boolean {
  return family === 'transient' || family === 'capacity' || family === 'cancelled' || code === 'input.config';
}
