import { AppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { sha256Hex } from '../base/hash.ts';
import type { FileId } from '../base/ids.ts';
import type { BatchRecord, BatchStore } from '../batch/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { copyDocument, saveContent } from './copy-document.ts';
import type { DropClaim } from './drop.schema.ts';
import { type Drop, dropFileId } from './drop.ts';
import { forEachConcurrent } from './for-each-concurrent.ts';
import { manifestName } from './inbox-key.ts';
import type { DropSource } from './judge-drop.ts';
import { type ManifestOutline, resolveManifest } from './manifest.ts';
import type { IntakeRules } from './rules.ts';
import { buildLineBody } from './template.ts';

export interface AdmissionDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly tenant: string;
  readonly rules: IntakeRules;
}

export type Admission =
  | { readonly type: 'admitted'; readonly batch: BatchRecord; readonly input: AdmittedInput }
  | { readonly type: 'changed' }
  | { readonly type: 'unreadable'; readonly reason: string };

/** What we prepared; the batch may be one that somebody else made of an input of his own. */
export interface AdmittedInput {
  readonly fileId: string;
  readonly customIds: readonly string[];
}

/** A drop names no deadline: the longest there is, so that a system that was down for a day still does it. */
const completionWindow = '7d';
const copiesAtOnce = 4;
const maxMetadataCharacters = 512;

/**
 * Bytes → files → batch.
 *
 * A1. Ids follow from the claim, and where several contents are possible, from the content too: what lies under an id
 *     is the same whoever wrote it, so doing this again, or twice at once, changes nothing.
 * A2. The batch record, created once, is the decision. Its id follows from key and etag: one version, one batch.
 */
export async function admitDrop(
  deps: AdmissionDeps,
  drop: Drop,
  claim: DropClaim,
  source: DropSource,
): Promise<Admission> {
  switch (source.type) {
    case 'document':
      return admitDocument(deps, drop, claim, source);
    case 'manifest':
      return admitManifest(deps, drop, claim, source);
  }
}

async function admitDocument(
  deps: AdmissionDeps,
  drop: Drop,
  claim: DropClaim,
  { name, template }: Extract<DropSource, { type: 'document' }>,
): Promise<Admission> {
  const { tenant } = deps;
  const fileId = dropFileId(drop, 'document');
  const target = { tenant, fileId, filename: name, atMs: claim.at_ms };
  const copy = await copyDocument(deps, drop.key, drop.etag, target, { checkText: true });
  if (copy.type !== 'copied') return copy;
  const lines = template.questions.map((question) =>
    JSON.stringify({
      custom_id: question.id,
      method: 'POST',
      url: '/v1/analyses',
      body: buildLineBody(template, question, fileId),
    }),
  );
  const input = Buffer.from(`${lines.join('\n')}\n`);
  const inputId = dropFileId(drop, 'input', sha256Hex(input));
  await failpoint('drop.before-input');
  await saveInput(deps, inputId, claim, oneChunk(input));
  await failpoint('drop.before-batch');
  const batch = await createBatch(deps, drop, claim, inputId, '/v1/analyses');
  return { type: 'admitted', batch, input: { fileId: inputId, customIds: template.questions.map(({ id }) => id) } };
}

async function* oneChunk(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function admitManifest(
  deps: AdmissionDeps,
  drop: Drop,
  claim: DropClaim,
  { folder, outline }: Extract<DropSource, { type: 'manifest' }>,
): Promise<Admission> {
  const fileIds = await copyDocuments(deps, drop, claim, outline);
  const inputId = dropFileId(drop, 'input', sha256Hex(JSON.stringify([...fileIds].sort())));
  const content = await deps.store.getStream(drop.key);
  if (content === undefined || content.etag !== drop.etag) {
    content?.stream.destroy();
    return { type: 'changed' };
  }
  const place = (key: string): Record<string, string> => {
    const fileId = fileIds.get(key);
    return fileId === undefined ? { key } : { file_id: fileId };
  };
  const lines = resolveManifest(content.stream, folder, outline.endpoint, deps.rules, place);
  await saveInput(deps, inputId, claim, lines);
  const batch = await createBatch(deps, drop, claim, inputId, outline.endpoint);
  return { type: 'admitted', batch, input: { fileId: inputId, customIds: outline.customIds } };
}

/** Documents that are there now. One that is missing stays named by its key, and becomes an error of its lines. */
async function copyDocuments(
  deps: AdmissionDeps,
  drop: Drop,
  claim: DropClaim,
  { documentKeys }: ManifestOutline,
): Promise<ReadonlyMap<string, FileId>> {
  const fileIds = new Map<string, FileId>();
  await forEachConcurrent(documentKeys, copiesAtOnce, async (key) => {
    const fileId = await copyCurrent(deps, drop, claim, key);
    if (fileId !== undefined) fileIds.set(key, fileId);
  });
  return fileIds;
}

/** A document that changes during its copy is copied again. */
const maxCopyRaces = 5;

async function copyCurrent(
  deps: AdmissionDeps,
  drop: Drop,
  claim: DropClaim,
  key: string,
): Promise<FileId | undefined> {
  const filename = key.slice(key.lastIndexOf('/') + 1);
  for (let race = 0; race < maxCopyRaces; race++) {
    const head = await deps.store.head(key);
    if (head === undefined || head.bytes > deps.rules.maxFileBytes) return undefined;
    const fileId = dropFileId(drop, 'document', key, head.etag);
    const target = { tenant: deps.tenant, fileId, filename, atMs: claim.at_ms };
    const { type } = await copyDocument(deps, key, head.etag, target, { checkText: false });
    if (type === 'copied') return fileId;
  }
  throw new AppError('transient.store-error', `document ${JSON.stringify(key)} changed ${maxCopyRaces} times in a row`);
}

async function saveInput(
  deps: AdmissionDeps,
  fileId: FileId,
  claim: DropClaim,
  lines: AsyncIterable<Uint8Array>,
): Promise<void> {
  if ((await deps.batches.findFile(deps.tenant, fileId)) !== undefined) return;
  const target = { tenant: deps.tenant, fileId, filename: manifestName, atMs: claim.at_ms };
  await saveContent(deps, lines, target, 'batch');
}

function createBatch(
  { batches, tenant }: AdmissionDeps,
  drop: Drop,
  claim: DropClaim,
  inputFileId: FileId,
  endpoint: string,
): Promise<BatchRecord> {
  return batches.createBatch({
    tenant,
    inputFileId,
    endpoint,
    completionWindow,
    metadata: drop.key.length > maxMetadataCharacters ? null : { inbox_key: drop.key },
    outputExpiresAfterSeconds: null,
    priority: 'batch',
    reservation: { batchId: drop.batchId, atMs: claim.at_ms },
  });
}
