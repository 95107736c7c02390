import type { DropRecord } from './drop.schema.ts';

/** What becomes of a dropped object, for its owner. */
export interface Receipt {
  readonly version: 1;
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly state: 'accepted' | 'rejected' | 'quarantined';
  /** null when accepted. */
  readonly reason: string | null;
  /** null when there is no batch. */
  readonly batch_id: string | null;
  readonly custom_ids: readonly string[];
  /** ISO 8601. */
  readonly at: string;
}

/** Follows from what is stored, so that writing it again changes nothing. */
export function buildReceipt(record: DropRecord, batchId: string | null, customIds: readonly string[]): Receipt {
  const { key, etag, size, reason } = record;
  const at = new Date(record.at_ms).toISOString();
  const state = record.state === 'rejected' || record.state === 'quarantined' ? record.state : 'accepted';
  return { version: 1, key, etag, size, state, reason, batch_id: batchId, custom_ids: customIds, at };
}
