import { keys, prefixes } from './keys.contract.ts';
import { pageKeys } from './page-keys.contract.ts';

/**
 * What each process may do with objects, as patterns in which `*` stands for any characters: no more than its code does.
 * The engine has no store. Listing is not among them: a process that may not list the bucket is answered 403 instead of
 * 404 for an object that is not there, and absence means something everywhere here.
 */
export interface ObjectAccess {
  readonly read: readonly string[];
  /** Create, replace, and the parts of long objects. */
  readonly write: readonly string[];
  readonly delete: readonly string[];
}

export const storeProcesses = ['api', 'janitor', 'intake', 'analysis'] as const;
export type StoreProcess = (typeof storeProcesses)[number];

const everyTenant = '*';
const batch = keys.batch(everyTenant, '*');
const batches = `${keys.batchRoot(everyTenant, '*')}*`;
/** What result files speak of; deleting such a file deletes it. */
const results = [keys.output(everyTenant, '*'), keys.errors(everyTenant, '*')];
const files = `${keys.fileRoot(everyTenant, '*')}*`;
const fileMeta = keys.fileMeta(everyTenant, '*');
const fileContent = keys.fileContent(everyTenant, '*');
const fileIndex = `${keys.fileIndexPrefix(everyTenant)}*`;
const batchIndex = `${prefixes.batchIndex}*`;
const creates = keys.createdBatch(everyTenant, '*');
const open = `${prefixes.open}*`;
const deleted = `${prefixes.deleted}*`;
const expiring = `${prefixes.expiring}*`;
const webhooks = `${prefixes.webhooks}*`;
const units = `${keys.units(everyTenant, '*')}*`;
const blobs = `${keys.unitBlobs(everyTenant, '*', '*')}*`;
const pages = `${pageKeys.root(everyTenant)}*`;
const drops = keys.openDrop(everyTenant, '').replace('open/', '*');
const dropped = [prefixes.receipts, prefixes.status, prefixes.outbox].map((prefix) => `${prefix}*`);

/** Of whoever makes a batch: marker, listing, and last the record; never one that was deleted. */
const create = { read: [deleted], write: [open, batchIndex, batch] } as const;
/** Of whoever stores a file: the bytes with a note of when they end if nothing comes of them, listing, record. */
const upload = { write: [fileContent, fileMeta, fileIndex, expiring], delete: [fileContent, expiring] } as const;

export const objectAccess: Readonly<Record<StoreProcess, ObjectAccess>> = {
  api: {
    // a repeated create finds the first one by its reservation
    read: [creates, ...create.read, files, batches],
    write: [creates, ...create.write, ...upload.write, deleted],
    delete: [...upload.delete, fileMeta, fileIndex, batch, ...results],
  },
  janitor: {
    read: [open, deleted, webhooks, keys.storeTime, files, batches],
    write: [keys.storeTime, webhooks, batches, fileMeta, fileIndex, expiring],
    delete: [open, deleted, expiring, webhooks, batchIndex, fileIndex, files, batches],
  },
  intake: {
    read: [`${prefixes.inbox}*`, ...dropped, drops, ...create.read, files, batches],
    write: [...dropped, drops, ...create.write, fileContent, fileMeta],
    // a receipt is replaced, never taken back
    delete: [`${prefixes.status}*`, `${prefixes.outbox}*`, drops],
  },
  analysis: {
    read: [`${prefixes.inbox}*`, files, batches, pages],
    write: [units, pages],
    delete: [blobs, pages],
  },
};

/** May this process do that with this key? The same reading of patterns as the bucket's. */
export function isAllowed(process: StoreProcess, action: keyof ObjectAccess, key: string): boolean {
  return objectAccess[process][action].some((pattern) => matches(pattern, key));
}

function matches(pattern: string, key: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(key);
}
