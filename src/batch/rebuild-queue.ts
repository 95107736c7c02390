import type { Logger } from '../base/log.ts';
import type { WorkQueue } from '../queue/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { isTerminal } from './batch-state.ts';
import type { BatchStore } from './batch-store.ts';
import { BatchWatch } from './batch-watch.ts';
import { findPlan } from './plan-store.ts';
import { UnitDispatch } from './unit-dispatch.ts';

export interface RebuiltQueue {
  /** Batches that are not final. */
  readonly batches: number;
  /** Of these, those whose marker for the janitor's sweep was missing. */
  readonly repaired: number;
  /** Units that had no job. */
  readonly jobs: number;
  /** Batches that could not be looked at; each is logged. */
  readonly failed: number;
}

export interface RebuildDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly queue: WorkQueue;
  readonly log: Logger;
}

/**
 * Fills the work queue from the store: markers for batches that lost theirs, a hint for every batch that is not final,
 * a job for every unit that is not ended and has none. May be run at any time, next to everything, again and again.
 * @throws `transient.*` when store or queue are away
 */
export async function rebuildQueue(deps: RebuildDeps, tenant: string): Promise<RebuiltQueue> {
  const { batches, queue, log } = deps;
  await queue.ping();
  const total = { batches: 0, repaired: 0, jobs: 0, failed: 0 };
  total.repaired = await batches.repairMarkers(tenant);
  for await (const page of batches.listOpen()) {
    for (const { tenant: owner, batchId } of page) {
      try {
        const record = await batches.findBatch(owner, batchId);
        if (record === undefined || isTerminal(record.status)) continue;
        total.batches += 1;
        if (record.status === 'in_progress') total.jobs += await addJobs(deps, record);
        await queue.addControl({ version: 1, tenant: owner, batchId });
      } catch (err) {
        total.failed += 1;
        log.error({ batchId, err }, 'batch could not be put into the queue');
      }
    }
  }
  return total;
}

async function addJobs({ store, queue }: RebuildDeps, record: Parameters<UnitDispatch['ensureJobs']>[0]) {
  const plan = await findPlan(store, record.tenant, record.id);
  // not planned: the janitor will, and then it adds the jobs
  if (plan === undefined) return 0;
  const watch = new BatchWatch(store, record, plan);
  await watch.refresh();
  return new UnitDispatch(queue).ensureJobs(record, watch);
}
