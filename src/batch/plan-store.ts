import { AppError } from '../base/errors.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { decodePlan, encodeRecord } from './decode-record.ts';
import type { Plan } from './records.schema.ts';

/** A plan never changes once written, so the last few are kept; one of 50,000 lines takes about 5 MB. */
const keptPlans = 16;
const kept = new WeakMap<ObjectStore, Map<string, Plan>>();

/** undefined while the batch is not planned. @throws `corrupt.*`, `transient.*` */
export async function findPlan(store: ObjectStore, tenant: string, batchId: string): Promise<Plan | undefined> {
  const key = keys.plan(tenant, batchId);
  const plans = kept.get(store) ?? new Map<string, Plan>();
  kept.set(store, plans);
  let plan = plans.get(key);
  if (plan === undefined) {
    const object = await store.get(key);
    if (object === undefined) return undefined;
    plan = decodePlan(object.body, key);
  }
  plans.delete(key);
  plans.set(key, plan);
  const [oldest] = plans.keys();
  if (plans.size > keptPlans && oldest !== undefined) plans.delete(oldest);
  return plan;
}

/** @throws `corrupt.record` when the plan is missing: nobody is told of units before it is there */
export async function loadPlan(store: ObjectStore, tenant: string, batchId: string): Promise<Plan> {
  const plan = await findPlan(store, tenant, batchId);
  if (plan !== undefined) return plan;
  throw new AppError('corrupt.record', `batch ${batchId} has no plan`, {
    details: { key: keys.plan(tenant, batchId) },
  });
}

/** Create-once: whoever plans second takes the plan that is there. */
export async function savePlan(store: ObjectStore, tenant: string, plan: Plan): Promise<Plan> {
  const { created } = await store.create(keys.plan(tenant, plan.batch_id), encodeRecord(plan));
  return created ? plan : await loadPlan(store, tenant, plan.batch_id);
}

export const lineTotalOf = (plan: Plan): number => plan.units.reduce((total, { lines }) => total + lines.length, 0);
