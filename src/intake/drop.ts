import { sha256Hex } from '../base/hash.ts';
import type { BatchId, FileId } from '../base/ids.ts';

/** One version of one dropped object. Everything else about it has a name that follows from these two. */
export interface Drop {
  readonly key: string;
  readonly etag: string;
  /** Digest of key and etag: name of its claim and its marker. */
  readonly id: string;
  readonly batchId: BatchId;
}

export function dropOf(key: string, etag: string): Drop {
  const id = sha256Hex(JSON.stringify([key, etag]));
  return { key, etag, id, batchId: `batch_${id.slice(0, 24)}` as BatchId };
}

/** A file that belongs to a drop; the parts say which one and, where several versions of it may exist, which version. */
export function dropFileId({ id }: Drop, ...parts: readonly string[]): FileId {
  return `file-${sha256Hex(JSON.stringify([id, ...parts])).slice(0, 24)}` as FileId;
}
