/**
 * Key grammar of the bucket (`v1/…` is ours, `inbox/` the user's). Infra's lifecycle rules use the same prefixes.
 * Ids are checked by their parsers before they come here, so no key can leave its folder.
 */
const root = 'v1';

/** Newest first: time counts down, 13 digits until the year 2286. */
const reverseMs = (ms: number): string => String(9_999_999_999_999 - ms).padStart(13, '0');

export const prefixes = {
  index: `${root}/index/`,
  batchIndex: `${root}/index/batches/`,
  open: `${root}/open/`,
  webhooks: `${root}/webhooks/`,
  deleted: `${root}/deleted/`,
  expiring: `${root}/expiring/`,
  inbox: 'inbox/',
  receipts: 'receipts/',
  status: 'status/',
  outbox: 'outbox/',
} as const;

export const tenantPrefix = (tenant: string): string => `${root}/${tenant}/`;

const batchRoot = (tenant: string, batchId: string): string => `${root}/${tenant}/batches/${batchId}/`;
const fileRoot = (tenant: string, fileId: string): string => `${root}/${tenant}/files/${fileId}/`;

export const keys = {
  batchIndex: (createdMs: number, batchId: string): string =>
    `${prefixes.batchIndex}${reverseMs(createdMs)}-${batchId}`,
  /** Marker of a batch that is not terminal: what the janitor sweeps. Its body names the tenant. */
  open: (batchId: string): string => `${prefixes.open}${batchId}`,
  /** Marker of a webhook event that is not delivered yet. Its body names the tenant. */
  pendingWebhook: (batchId: string): string => `${prefixes.webhooks}${batchId}`,
  /** Tombstone of a batch or file: what is to be gone, and what must not come back. */
  deleted: (id: string): string => `${prefixes.deleted}${id}`,
  /** When a file ends; in order of time, so that the first entries are the ones that are due. */
  expiring: (atMs: number, tenant: string, fileId: string): string =>
    `${prefixes.expiring}${String(atMs).padStart(13, '0')}/${tenant}/${fileId}`,
  fileIndex: (tenant: string, createdMs: number, fileId: string): string =>
    `${prefixes.index}files/${tenant}/${reverseMs(createdMs)}-${fileId}`,
  fileIndexPrefix: (tenant: string): string => `${prefixes.index}files/${tenant}/`,
  /** Empty; written to learn the store's own time. */
  storeTime: `${root}/store-time`,
  /** A create that may be a client's retry finds the first batch here. */
  createdBatch: (tenant: string, fingerprint: string): string => `${prefixes.index}creates/${tenant}/${fingerprint}`,
  fileRoot,
  fileMeta: (tenant: string, fileId: string): string => `${fileRoot(tenant, fileId)}meta.json`,
  fileContent: (tenant: string, fileId: string): string => `${fileRoot(tenant, fileId)}content`,
  document: (tenant: string, sha256: string): string => `${root}/${tenant}/documents/${sha256}/document.json`,
  batchRoot,
  batch: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}batch.json`,
  lines: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}lines.jsonl`,
  linesIndex: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}lines.index`,
  plan: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}plan.json`,
  lineErrors: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}line-errors.jsonl`,
  units: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}units/`,
  unitLog: (tenant: string, batchId: string, unitId: string): string =>
    `${batchRoot(tenant, batchId)}units/${unitId}/log/`,
  unitSlot: (tenant: string, batchId: string, unitId: string, slot: number): string =>
    `${batchRoot(tenant, batchId)}units/${unitId}/log/${String(slot).padStart(10, '0')}`,
  /** Checkpoints of a unit, each named by the sha256 of its bytes; they count when an entry of the log names them. */
  unitBlobs: (tenant: string, batchId: string, unitId: string): string =>
    `${batchRoot(tenant, batchId)}units/${unitId}/blobs/`,
  output: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}output.jsonl`,
  errors: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}error.jsonl`,
  manifest: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}manifest.json`,
  /** State of the one webhook event of a batch: what was tried, and when it is tried again. */
  webhook: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}webhook.json`,
  /** How far the writing of the result files is. */
  finalizing: (tenant: string, batchId: string): string => `${batchRoot(tenant, batchId)}finalizing.json`,
  /** Marker of a drop whose publication is not finished: what any intake picks up after a crash. */
  openDrop: (tenant: string, dropId: string): string => `${root}/${tenant}/drops/open/${dropId}`,
  openDropPrefix: (tenant: string): string => `${root}/${tenant}/drops/open/`,
  /** Create-once, one a version of a dropped object: the drop id is a digest of key and etag. */
  dropClaim: (tenant: string, dropId: string): string => `${root}/${tenant}/drops/claims/${dropId}`,
  /** Compare-and-swap, one an inbox key: which version of the object its receipt, status and outbox speak of. */
  dropRecord: (tenant: string, keyDigest: string): string => `${root}/${tenant}/drops/keys/${keyDigest}`,
} as const;
