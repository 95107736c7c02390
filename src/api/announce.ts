import type { BatchRecord } from '../batch/records.schema.ts';
import type { ServerDeps } from './ports.ts';

/**
 * Tells the janitor that a batch wants a look. The record in the store is what counts: a hint that is lost with Redis
 * costs time until the next sweep, never the batch.
 */
export async function announceBatch({ queue, log }: ServerDeps, record: BatchRecord): Promise<void> {
  try {
    await queue.addControl({ version: 1, tenant: record.tenant, batchId: record.id });
  } catch (err) {
    log.warn({ batchId: record.id, err }, 'batch stored without a hint to the janitor');
  }
}
