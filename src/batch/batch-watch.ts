import { keys, type ObjectStore } from '../storage/index.ts';
import { mapConcurrent } from './map-concurrent.ts';
import { lineTotalOf } from './plan-store.ts';
import type { BatchRecord, BatchUsage, LineResult, Plan, PlannedUnit, SealReason } from './records.schema.ts';
import { UnitLog } from './unit-log.ts';
import { addUsage, noUsage, usageOf } from './usage.ts';

/** What counting needs of a result. */
interface Counted {
  readonly outcome: LineResult['outcome'];
  readonly usage: BatchUsage | null;
}

/** Up to this many units each log is asked for its next slot; beyond, one listing tells which logs grew. */
const maxAskedUnits = 8;
const readsAtOnce = 16;

export interface BatchProgress {
  readonly request_counts: BatchRecord['request_counts'];
  readonly usage: BatchUsage;
}

/** The logs of one running batch, folded as far as they were seen; a look reads only what is new. */
export class BatchWatch {
  readonly plan: Plan;
  readonly #store: ObjectStore;
  readonly #unitsPrefix: string;
  readonly #logs: ReadonlyMap<string, UnitLog<Counted>>;
  readonly #lineTotal: number;

  /** `onResult` hears of every line once, when its first result is read; lines of one unit in the order of its log. */
  constructor(
    store: ObjectStore,
    record: Pick<BatchRecord, 'tenant' | 'id'>,
    plan: Plan,
    onResult: (result: LineResult) => void = () => {},
  ) {
    const { tenant, id } = record;
    const keep = (result: LineResult): Counted => {
      onResult(result);
      return { outcome: result.outcome, usage: usageOf(result) };
    };
    this.plan = plan;
    this.#store = store;
    this.#unitsPrefix = keys.units(tenant, id);
    this.#logs = new Map(plan.units.map((unit) => [unit.id, new UnitLog(store, tenant, id, unit.id, { keep })]));
    this.#lineTotal = lineTotalOf(plan);
  }

  /** @throws `corrupt.*`, `transient.*` */
  async refresh(): Promise<void> {
    const open = this.openLogs();
    const grown = open.length <= maxAskedUnits ? open : await this.#findGrown();
    await mapConcurrent(grown, readsAtOnce, (log) => log.fold());
  }

  async #findGrown(): Promise<readonly UnitLog<Counted>[]> {
    const slotTotals = new Map<string, number>();
    for (let after: string | null = ''; after !== null; ) {
      const listing = await this.#store.list(this.#unitsPrefix, after === '' ? {} : { after });
      for (const { key } of listing.objects) {
        const [unitId = '', folder, slot] = key.slice(this.#unitsPrefix.length).split('/');
        if (folder === 'log' && slot !== undefined) slotTotals.set(unitId, (slotTotals.get(unitId) ?? 0) + 1);
      }
      after = listing.next;
    }
    return this.openLogs().filter((log) => (slotTotals.get(log.unitId) ?? 0) > log.state.nextSlot);
  }

  openLogs(): readonly UnitLog<Counted>[] {
    return [...this.#logs.values()].filter((log) => log.state.sealed === null);
  }

  get isSealed(): boolean {
    return this.openLogs().length === 0;
  }

  openUnits(): readonly PlannedUnit[] {
    return this.plan.units.filter(({ id }) => this.logOf(id).state.sealed === null);
  }

  logOf(unitId: string): UnitLog<Counted> {
    const log = this.#logs.get(unitId);
    if (log === undefined) throw new RangeError(`no unit ${unitId} in the plan`);
    return log;
  }

  /** Ends every unit that is not ended. */
  async seal(reason: SealReason): Promise<void> {
    await mapConcurrent(this.openLogs(), readsAtOnce, (log) => log.seal(reason));
  }

  /** Finished lines so far; sealed units without results of theirs are counted by the finalizer. */
  progress(): BatchProgress {
    let completed = 0;
    let failed = 0;
    let usage = noUsage;
    for (const { state } of this.#logs.values()) {
      for (const result of state.results.values()) {
        if (result.outcome === 'completed') completed += 1;
        else failed += 1;
        usage = addUsage(usage, result.usage);
      }
    }
    return { request_counts: { total: this.#lineTotal, completed, failed }, usage };
  }
}
