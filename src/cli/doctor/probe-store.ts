import { AppError } from '../../base/errors.ts';
import { newNonce } from '../../base/ids.ts';
import type { ObjectStore } from '../../storage/index.ts';

/** Beside our own records, where no user's object lies. */
const probePrefix = 'v1/doctor/';

/**
 * Writes, replaces and removes one object, and tries the two writes that a store must refuse: every promise of quire
 * rests on those.
 * @throws `input.config` naming the write that was not refused; whatever the store throws
 */
export async function probeStore(store: ObjectStore): Promise<void> {
  await store.check();
  const key = `${probePrefix}${newNonce()}`;
  const body = Buffer.from('a probe of quire doctor; may be deleted');
  try {
    const first = await store.create(key, body);
    if (!first.created) throw refusal('refuses to create an object that is not there');
    if ((await store.create(key, body)).created) throw refusal('ignores If-None-Match: it creates an object twice');
    const stale = '0'.repeat(32);
    if ((await store.swap(key, body, stale)).swapped) throw refusal('ignores If-Match: it replaces a version unseen');
    if (!(await store.swap(key, body, first.etag)).swapped)
      throw refusal('refuses to replace the version that is there');
    const found = await store.get(key);
    if (found === undefined || !body.equals(found.body)) throw refusal('does not give back what was written');
  } finally {
    await store.delete([key]);
  }
}

const refusal = (what: string): AppError => new AppError('input.config', `the store ${what}`);
