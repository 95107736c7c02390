import { failpoint } from '../base/failpoint.ts';
import type { BatchRecord } from '../batch/records.schema.ts';
import { announceBatch } from './announce.ts';
import type { ServerDeps } from './ports.ts';

/**
 * Asks for the end of a batch, and tells those who can make it soon: workers by event, the janitor by hint. Both may
 * miss it; the record cannot be missed.
 * @throws `input.state` for a batch that is final; `input.not-found`
 */
export async function cancelAndTell(
  deps: ServerDeps,
  { tenant, id }: Pick<BatchRecord, 'tenant' | 'id'>,
): Promise<BatchRecord> {
  const record = await deps.batches.cancelBatch(tenant, id);
  await failpoint('cancel.before-hint');
  await Promise.all([deps.bus.publish({ type: 'batch-cancel', batchId: id }), announceBatch(deps, record)]);
  return record;
}
