import { AppError } from '../../src/base/errors.ts';
import { parseFileId } from '../../src/base/ids.ts';
import type { BatchStore } from '../../src/batch/index.ts';
import type { LoadDocument } from '../../src/pipeline/index.ts';
import { type ObjectStore, prefixes } from '../../src/storage/index.ts';

/** A document larger than this is refused: its text alone would not fit any window we serve. */
const maxDocumentBytes = 64 << 20;

/** Documents by file id or by key under the inbox; every other key of the bucket is out of reach of requests. */
export function buildDocumentSource(store: ObjectStore, batches: BatchStore, tenant: string): LoadDocument {
  return async (ref, signal) => {
    const { name, key } = 'fileId' in ref ? await locateFile(batches, tenant, ref.fileId) : locateKey(ref.key);
    const head = await store.head(key);
    const reference = 'fileId' in ref ? ref.fileId : ref.key;
    if (head === undefined) throw notFound(`no document ${JSON.stringify(reference)}`);
    if (head.bytes > maxDocumentBytes) {
      throw new AppError(
        'input.too-large',
        `document ${JSON.stringify(name)} has ${head.bytes} bytes, more than the ${maxDocumentBytes} allowed`,
        { param: 'documents' },
      );
    }
    const object = await store.get(key, { signal });
    if (object === undefined) throw notFound(`document ${JSON.stringify(reference)} was deleted`);
    return { name, bytes: object.body };
  };
}

async function locateFile(
  batches: BatchStore,
  tenant: string,
  fileId: string,
): Promise<{ readonly name: string; readonly key: string }> {
  const file = await batches.findFile(tenant, parseFileId(fileId));
  if (file === undefined) throw notFound(`no file ${fileId}`);
  return { name: file.filename, key: file.content_key };
}

function locateKey(key: string): { readonly name: string; readonly key: string } {
  if (!key.startsWith(prefixes.inbox)) {
    throw notFound(`document key must start with ${prefixes.inbox}, not ${JSON.stringify(key.slice(0, 80))}`);
  }
  return { name: key.slice(key.lastIndexOf('/') + 1), key };
}

function notFound(message: string): AppError {
  return new AppError('input.document-not-found', message, { param: 'documents' });
}
