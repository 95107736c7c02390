import type { ObjectStore } from '../storage/index.ts';

/** Deletes everything under a prefix, page by page. @returns how many objects there were @throws `transient.*` */
export async function deletePrefix(store: ObjectStore, prefix: string): Promise<number> {
  let deleted = 0;
  for (let isMore = true; isMore; ) {
    // always from the start: what was listed before is gone
    const listing = await store.list(prefix);
    const keys = listing.objects.map(({ key }) => key);
    if (keys.length > 0) await store.delete(keys);
    deleted += keys.length;
    isMore = listing.next !== null;
  }
  return deleted;
}
