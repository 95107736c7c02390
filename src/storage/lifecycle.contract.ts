import { defaultTenant } from '../base/ids.ts';
import { keys, prefixes } from './keys.contract.ts';
import { pageKeys } from './page-keys.contract.ts';

export interface ExpiryRule {
  /** Stable name of the rule in the bucket. */
  readonly id: string;
  readonly prefix: string;
  readonly expireDays: number;
}

/**
 * What the bucket itself throws away. Only what nobody can miss: truth (files, batches, outputs) ends by the caller's
 * `expires_after` and by deletes, which the janitor carries out.
 */
export const expiryRules: readonly ExpiryRule[] = [
  // a client repeats a lost create within minutes; S3 rounds up to midnight UTC, so a day is the shortest honest span
  { id: 'creates', prefix: `${prefixes.index}creates/`, expireDays: 1 },
  // a missing page is a miss: it is computed again
  { id: 'pages', prefix: pageKeys.root(defaultTenant), expireDays: 14 },
  { id: 'status', prefix: prefixes.status, expireDays: 30 },
  { id: 'receipts', prefix: prefixes.receipts, expireDays: 90 },
];

/** Parts of an upload that was never completed. The longest upload lasts 15 minutes. */
export const abortMultipartDays = 1;

/** Keys that may only ever be created, never replaced: the slots of the unit logs. */
export const createOncePattern = `${keys.unitLog('*', '*', '*')}*`;
