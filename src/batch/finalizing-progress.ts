import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { encodeRecord, parseStoredJson } from './decode-record.ts';
import type { FinalizingProgress } from './finalizer.ts';
import type { BatchRecord } from './records.schema.ts';
import { isPlainObject } from './request-fields.ts';

/** How often readers see the writing of result files move on. */
const reportMs = 1_000;

/**
 * Writes the progress of a batch's finalizing where every process can read it: the first after a second, so that short
 * batches write none. News only: a failed write is logged, and the next one says more.
 */
export function reportFinalizing(
  { store, clock, log }: { readonly store: ObjectStore; readonly clock: Clock; readonly log: Logger },
  { tenant, id }: BatchRecord,
): (progress: FinalizingProgress) => void {
  let lastMs = clock.nowMs();
  let isWriting = false;
  return (progress) => {
    if (isWriting || clock.nowMs() - lastMs < reportMs) return;
    lastMs = clock.nowMs();
    isWriting = true;
    store
      .put(keys.finalizing(tenant, id), encodeRecord({ version: 1, ...progress }))
      .catch((err: unknown) => log.warn({ batchId: id, err }, 'progress of finalizing cannot be written'))
      .finally(() => {
        isWriting = false;
      });
  };
}

/** What was written last; null before the first, and for what a newer program wrote. @throws `transient.*` */
export async function findFinalizing(
  store: ObjectStore,
  { tenant, id }: Pick<BatchRecord, 'tenant' | 'id'>,
): Promise<FinalizingProgress | null> {
  const key = keys.finalizing(tenant, id);
  const object = await store.get(key);
  if (object === undefined) return null;
  const value = parseStoredJson(object.body, key);
  if (!isPlainObject(value) || value['version'] !== 1) return null;
  const { lines_read: read, lines_written: written, lines_total: total } = value;
  if (typeof read !== 'number' || typeof written !== 'number' || typeof total !== 'number') return null;
  return { lines_read: read, lines_written: written, lines_total: total };
}
