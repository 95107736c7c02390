import { failpoint } from '../base/failpoint.ts';
import type { WorkQueue } from '../queue/index.ts';
import type { BatchWatch } from './batch-watch.ts';
import { mapConcurrent } from './map-concurrent.ts';
import type { BatchRecord } from './records.schema.ts';

const callsAtOnce = 16;

/**
 * Keeps a job in the queue for every unit that is not sealed. A job's id carries the number of claims seen when it was
 * added; the worker that takes it claims the unit, so a live job may be of any older number. Only when none of them is
 * left is the unit added anew, under a number no job of this unit had before.
 */
export class UnitDispatch {
  readonly #queue: WorkQueue;
  /** By unit id, the number under which a job was last known. */
  readonly #known = new Map<string, number>();

  constructor(queue: WorkQueue) {
    this.#queue = queue;
  }

  /** @throws `transient.queue-unreachable` */
  async ensureJobs(record: BatchRecord, watch: BatchWatch): Promise<number> {
    const added = await mapConcurrent(watch.openUnits(), callsAtOnce, async ({ id: unitId }) => {
      const { epoch } = watch.logOf(unitId).state;
      const job = { version: 1, tenant: record.tenant, batchId: record.id, unitId } as const;
      if (epoch > 0 || this.#known.has(unitId)) {
        for (const candidate of this.#candidates(unitId, epoch)) {
          if (!(await this.#queue.hasUnit(job, candidate))) continue;
          this.#known.set(unitId, candidate);
          return false;
        }
      }
      await failpoint('dispatch.before-job');
      await this.#queue.addUnit(job, epoch, record.priority);
      this.#known.set(unitId, epoch);
      return true;
    });
    return added.filter(Boolean).length;
  }

  /** The number known to be there first, then from the newest down. */
  *#candidates(unitId: string, epoch: number): Generator<number> {
    const known = this.#known.get(unitId);
    if (known !== undefined) yield known;
    for (let candidate = epoch; candidate >= 0; candidate--) if (candidate !== known) yield candidate;
  }
}
