import type { Readable } from 'node:stream';

/**
 * The one storage port. Implementations: memory (tests), S3 (embedded server, AWS and compatible stores).
 * Every implementation passes `test/contract/object-store.suite.ts`.
 *
 * Conditional writes are honest about lost responses: each carries a fresh nonce in its metadata, and a 412 or 409
 * is resolved by reading the object back. `created: true` therefore means "the object that is there is ours".
 *
 * All methods throw `transient.store-unreachable` / `transient.store-error` when the store fails in time;
 * absence is a value, never an error. Keys are UTF-8 text of 1–1024 bytes.
 */
export interface ObjectStore {
  /** Whole object, or the half-open byte range of it. A range past the end yields the bytes there are. */
  get(key: string, options?: GetOptions): Promise<StoredObject | undefined>;
  getStream(key: string, options?: GetOptions): Promise<StreamedObject | undefined>;
  head(key: string): Promise<ObjectHead | undefined>;
  put(key: string, body: Uint8Array, options?: PutOptions): Promise<{ readonly etag: string }>;
  /** Multipart when long. Stops with `input.too-large` past `maxBytes`, leaving nothing behind. */
  putStream(key: string, body: AsyncIterable<Uint8Array>, options?: PutStreamOptions): Promise<StreamedPut>;
  /** Create-once (`If-None-Match: *`). */
  create(key: string, body: Uint8Array, options?: PutOptions): Promise<CreateOutcome>;
  /** Compare-and-swap (`If-Match`). An absent object is a lost swap. */
  swap(key: string, body: Uint8Array, etag: string, options?: PutOptions): Promise<SwapOutcome>;
  /** Keys in UTF-8 byte order, strictly after `after`. */
  list(prefix: string, options?: ListOptions): Promise<Listing>;
  /** Absent keys are no error. */
  delete(keys: readonly string[]): Promise<void>;
  /** Resolves when bucket and credentials work; throws otherwise. */
  check(): Promise<void>;
}

export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface GetOptions {
  readonly range?: ByteRange;
  readonly signal?: AbortSignal;
}

export interface PutOptions {
  readonly contentType?: string;
  /** Lower-case names, printable ASCII values, 2 KiB in all; the name `nonce` is the adapter's own. */
  readonly metadata?: Readonly<Record<string, string>>;
}

export interface PutStreamOptions extends PutOptions {
  readonly maxBytes?: number;
}

export interface StreamedPut {
  readonly etag: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface ObjectHead {
  readonly key: string;
  /** Size of the whole object, also when a range of it was read. */
  readonly bytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  /** What was given when it was written; S3 invents a binary type where nothing was, memory says null. */
  readonly contentType: string | null;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface StoredObject extends ObjectHead {
  readonly body: Uint8Array;
}

export interface StreamedObject extends ObjectHead {
  readonly stream: Readable;
}

export type CreateOutcome = { readonly created: true; readonly etag: string } | { readonly created: false };
export type SwapOutcome = { readonly swapped: true; readonly etag: string } | { readonly swapped: false };

export interface ListOptions {
  readonly after?: string;
  /** At most this many entries (objects and folders together); at most 1,000. */
  readonly limit?: number;
  /** Groups keys behind the next `/` into `folders`. */
  readonly folders?: boolean;
}

export interface ListedObject {
  readonly key: string;
  readonly bytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
}

export interface Listing {
  readonly objects: readonly ListedObject[];
  /** Common prefixes, each ending in `/`; empty unless asked for. */
  readonly folders: readonly string[];
  /** Give it as `after` for the next page; null at the end. */
  readonly next: string | null;
}
