import type { KeyCursor } from './key-walk.ts';
import { S3Error } from './s3-error.ts';

export interface ListingQuery {
  readonly prefix: string;
  readonly delimiter: string;
  readonly maxKeys: number;
}

/** Where a page begins: behind a key, and, when the page before ended in a folder, behind all its keys. */
export interface ListingStart {
  readonly after: string;
  readonly skipFolder: string | null;
}

export interface KeyPage {
  readonly keys: readonly string[];
  readonly folders: readonly string[];
  /** null: nothing follows. */
  readonly next: ListingStart | null;
}

/** Keys and common prefixes of one page, `maxKeys` of both together. */
export async function readKeyPage(cursor: KeyCursor, query: ListingQuery, start: ListingStart): Promise<KeyPage> {
  const keys: string[] = [];
  const folders: string[] = [];
  if (query.maxKeys === 0) return { keys, folders, next: null };
  if (start.skipFolder !== null) cursor.skip(start.skipFolder);
  let last: ListingStart = start;
  for (;;) {
    const key = await cursor.next();
    if (key === undefined) return { keys, folders, next: null };
    // a skip before the walk has begun finds nothing to leave out yet
    if (last.skipFolder !== null && key.startsWith(last.skipFolder)) {
      cursor.skip(last.skipFolder);
      continue;
    }
    if (keys.length + folders.length === query.maxKeys) return { keys, folders, next: last };
    const folder = folderOf(key, query);
    if (folder === undefined) keys.push(key);
    else {
      folders.push(folder);
      cursor.skip(folder);
    }
    last = { after: folder ?? key, skipFolder: folder ?? null };
  }
}

export function encodeToken({ after, skipFolder }: ListingStart): string {
  return Buffer.from(JSON.stringify([after, skipFolder])).toString('base64url');
}

/** Throws `InvalidArgument` for what is no token of ours. */
export function decodeToken(token: string): ListingStart {
  try {
    const [after, skipFolder] = JSON.parse(Buffer.from(token, 'base64url').toString()) as readonly unknown[];
    if (typeof after === 'string' && (typeof skipFolder === 'string' || skipFolder === null))
      return { after, skipFolder };
  } catch {
    // told below
  }
  throw new S3Error('InvalidArgument', 'the continuation token is not one of this server');
}

function folderOf(key: string, { prefix, delimiter }: ListingQuery): string | undefined {
  if (delimiter === '') return undefined;
  const end = key.indexOf(delimiter, prefix.length);
  return end === -1 ? undefined : key.slice(0, end + delimiter.length);
}
