import type { ObjectStore } from '../storage/index.ts';
import { countSlots } from './count-slots.ts';
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
  readonly #batch: Pick<BatchRecord, 'tenant' | 'id'>;
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
    this.#batch = { tenant, id };
    this.#logs = new Map(plan.units.map((unit) => [unit.id, new UnitLog(store, tenant, id, unit.id, { keep })]));
    this.#lineTotal = lineTotalOf(plan);
  }

  /** @throws `corrupt.*`, `transient.*` */
  async refresh(): Promise<void> {
    const open = this.openLogs();
    if (open.length <= maxAskedUnits) {
      await mapConcurrent(open, readsAtOnce, (log) => log.fold());
      return;
    }
    const totals = await countSlots(this.#store, this.#batch);
    const slotsOf = ({ unitId }: UnitLog<Counted>): number => totals.get(unitId) ?? 0;
    const grown = open.filter((log) => slotsOf(log) > log.state.nextSlot);
    await mapConcurrent(grown, readsAtOnce, (log) => log.fold(slotsOf(log)));
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
