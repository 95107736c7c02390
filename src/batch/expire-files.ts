import type { Logger } from '../base/log.ts';
import { type ObjectStore, prefixes } from '../storage/index.ts';
import type { FileStore } from './file-store.ts';
import { mapConcurrent } from './map-concurrent.ts';
import type { StoreTime } from './store-time.ts';

const atOnce = 8;

export interface ExpiryDeps {
  readonly store: ObjectStore;
  readonly files: Pick<FileStore, 'endFile'>;
  readonly time: StoreTime;
  readonly log: Logger;
}

interface Due {
  readonly key: string;
  readonly atMs: number;
  readonly tenant: string;
  readonly fileId: string;
}

/**
 * Deletes files whose time is over, and bytes of uploads that never became a file. Entries are in order of time, so a
 * look at nothing costs one listing. A file that cannot be deleted is logged, and tried again by the next look.
 * @returns how many files @throws `transient.*`
 */
export async function expireFiles({ store, files, time, log }: ExpiryDeps): Promise<number> {
  let expired = 0;
  for (let after: string | null = ''; after !== null; ) {
    const listing = await store.list(prefixes.expiring, after === '' ? {} : { after });
    const due = listing.objects.map(({ key }) => parseEntry(key)).filter(({ atMs }) => atMs <= time.nowMs());
    const last = due.at(-1);
    // the store's own clock has the last word: a deleted file does not come back
    if (last === undefined || !(await time.isPast(last.atMs))) return expired;
    await mapConcurrent(due, atOnce, async ({ key, tenant, fileId }) => {
      try {
        if (await files.endFile(tenant, fileId, time.nowMs())) expired += 1;
        await store.delete([key]);
      } catch (err) {
        log.error({ fileId, err }, 'file cannot be deleted although its time is over');
      }
    });
    after = due.length === listing.objects.length ? listing.next : null;
  }
  return expired;
}

function parseEntry(key: string): Due {
  const [atMs, tenant = '', fileId = ''] = key.slice(prefixes.expiring.length).split('/');
  return { key, atMs: Number(atMs), tenant, fileId };
}
