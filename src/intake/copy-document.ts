import { unixSeconds } from '../base/clock.ts';
import type { FileId } from '../base/ids.ts';
import type { BatchStore, FileRecord } from '../batch/index.ts';
import { keys, type ObjectStore } from '../storage/index.ts';

export interface CopyTarget {
  readonly tenant: string;
  readonly fileId: FileId;
  readonly filename: string;
  /** Time of the claim, so that a copy made again writes the same record. */
  readonly atMs: number;
}

export interface CopyDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
}

export type CopyOutcome =
  | { readonly type: 'copied' }
  /** The object is gone or another one. */
  | { readonly type: 'changed' }
  | { readonly type: 'unreadable'; readonly reason: string };

/**
 * Copies one version of an object into a file whose id follows from that version, so that whatever becomes of the
 * object does not touch those who read the file. Doing it again changes nothing.
 */
export async function copyDocument(
  { store, batches }: CopyDeps,
  key: string,
  etag: string,
  target: CopyTarget,
  options: { readonly checkText: boolean },
): Promise<CopyOutcome> {
  if ((await batches.findFile(target.tenant, target.fileId)) !== undefined) return { type: 'copied' };
  const content = await store.getStream(key);
  if (content === undefined) return { type: 'changed' };
  if (content.etag !== etag) {
    content.stream.destroy();
    return { type: 'changed' };
  }
  const check = new TextCheck();
  const body = options.checkText ? check.pass(content.stream) : content.stream;
  try {
    await saveContent({ store, batches }, body, target, 'user_data');
  } catch (error) {
    if (check.problem === null) throw error;
  }
  return check.problem === null ? { type: 'copied' } : { type: 'unreadable', reason: check.problem };
}

/** Stores bytes under a given id; the record comes last, so a file that is found has its bytes. */
export async function saveContent(
  { store, batches }: CopyDeps,
  body: AsyncIterable<Uint8Array>,
  { tenant, fileId, filename, atMs }: CopyTarget,
  purpose: 'user_data' | 'batch',
): Promise<void> {
  const contentKey = keys.fileContent(tenant, fileId);
  const { bytes, sha256 } = await store.putStream(contentKey, body);
  const record: FileRecord = {
    version: 1,
    id: fileId,
    tenant,
    bytes,
    created_at: unixSeconds(atMs),
    filename,
    purpose,
    expires_at: null,
    sha256,
    content_key: contentKey,
  };
  // nobody uploaded it: it can be read by its id, and clutters no listing
  await batches.saveFileRecord(record, false);
}

/** Lets bytes pass while they are text; `problem` says why it stopped. */
class TextCheck {
  problem: string | null = null;

  async *pass(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    let hasText = false;
    for await (const chunk of source) {
      hasText = /\S/.test(this.#decode(decoder, chunk)) || hasText;
      yield chunk;
    }
    this.#decode(decoder, undefined);
    if (!hasText) throw this.#stop('the document has no text');
  }

  #decode(decoder: InstanceType<typeof TextDecoder>, chunk: Uint8Array | undefined): string {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw this.#stop('the document is not valid UTF-8');
    }
  }

  #stop(problem: string): Error {
    this.problem = problem;
    return new Error(problem);
  }
}
