import { keys, type ObjectStore } from '../storage/index.ts';

/** How many slots the log of each unit of a batch has; units without any are left out. One request for 1,000 objects. */
export async function countSlots(
  store: ObjectStore,
  { tenant, id }: { readonly tenant: string; readonly id: string },
): Promise<ReadonlyMap<string, number>> {
  const prefix = keys.units(tenant, id);
  const totals = new Map<string, number>();
  for (let after: string | null = ''; after !== null; ) {
    const listing = await store.list(prefix, after === '' ? {} : { after });
    for (const { key } of listing.objects) {
      const [unitId = '', folder, slot] = key.slice(prefix.length).split('/');
      if (folder === 'log' && slot !== undefined) totals.set(unitId, (totals.get(unitId) ?? 0) + 1);
    }
    after = listing.next;
  }
  return totals;
}
