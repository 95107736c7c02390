import { expiryRules } from './lifecycle.contract.ts';
import type { ListedObject, ObjectStore } from './object-store.ts';
import { pageKeys } from './page-keys.contract.ts';

const dayMs = 86_400_000;

export interface SweepOptions {
  readonly nowMs: number;
  /** Whose pages have a budget. */
  readonly tenant: string;
  /** Most bytes of pages that stay, the newest ones. */
  readonly pageBytes: number;
}

/**
 * Does what a bucket's lifecycle rules do, for a store that has none, and keeps pages within a budget.
 * @returns how many objects were deleted
 * @throws `transient.*`
 */
export async function sweepExpired(
  store: Pick<ObjectStore, 'list' | 'delete'>,
  { nowMs, tenant, pageBytes }: SweepOptions,
): Promise<number> {
  let deleted = 0;
  const drop = async (objects: readonly ListedObject[]): Promise<void> => {
    if (objects.length > 0) await store.delete(objects.map(({ key }) => key));
    deleted += objects.length;
  };
  for (const { prefix, expireDays } of expiryRules) {
    for await (const objects of listAll(store, prefix)) {
      await drop(objects.filter(({ lastModifiedMs }) => lastModifiedMs < nowMs - expireDays * dayMs));
    }
  }
  const pages: ListedObject[] = [];
  for await (const objects of listAll(store, pageKeys.root(tenant))) pages.push(...objects);
  await drop(beyondBudget(pages, pageBytes));
  return deleted;
}

function beyondBudget(objects: readonly ListedObject[], budgetBytes: number): readonly ListedObject[] {
  let bytes = 0;
  return objects
    .toSorted((left, right) => right.lastModifiedMs - left.lastModifiedMs)
    .filter((object) => {
      bytes += object.bytes;
      return bytes > budgetBytes;
    });
}

async function* listAll(
  store: Pick<ObjectStore, 'list'>,
  prefix: string,
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  for (let after: string | null = ''; after !== null; ) {
    const listing = await store.list(prefix, after === '' ? {} : { after });
    yield listing.objects;
    after = listing.next;
  }
}
