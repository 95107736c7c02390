import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { sha256Hex } from '../base/hash.ts';
import { checkKey, checkPutOptions, checkRange, tooLarge } from './check-arguments.ts';
import { compareKeys } from './key-order.contract.ts';
import type {
  CreateOutcome,
  GetOptions,
  ListedObject,
  Listing,
  ListOptions,
  ObjectHead,
  ObjectStore,
  PutOptions,
  PutStreamOptions,
  StoredObject,
  StreamedObject,
  StreamedPut,
  SwapOutcome,
} from './object-store.ts';

/** All of the port's semantics in a Map; for tests. Bodies are copied on the way in and on the way out. */
export class MemoryObjectStore implements ObjectStore {
  private readonly objects = new Map<string, StoredObject>();
  private readonly nowMs: () => number;

  constructor(nowMs: () => number = Date.now) {
    this.nowMs = nowMs;
  }

  async get(key: string, options: GetOptions = {}): Promise<StoredObject | undefined> {
    checkKey(key);
    if (options.range !== undefined) checkRange(options.range);
    options.signal?.throwIfAborted();
    const stored = this.objects.get(key);
    if (stored === undefined) return undefined;
    return { ...stored, body: stored.body.slice(options.range?.start ?? 0, options.range?.end) };
  }

  async getStream(key: string, options: GetOptions = {}): Promise<StreamedObject | undefined> {
    const stored = await this.get(key, options);
    if (stored === undefined) return undefined;
    const { body, ...head } = stored;
    return { ...head, stream: Readable.from([body], { objectMode: false }) };
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    checkKey(key);
    const stored = this.objects.get(key);
    if (stored === undefined) return undefined;
    const { body: _body, ...head } = stored;
    return head;
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<{ readonly etag: string }> {
    return { etag: this.store(key, body, options) };
  }

  async putStream(key: string, body: AsyncIterable<Uint8Array>, options: PutStreamOptions = {}): Promise<StreamedPut> {
    checkKey(key);
    checkPutOptions(options);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (options.maxBytes !== undefined && bytes > options.maxBytes) throw tooLarge(key, options.maxBytes);
      chunks.push(Uint8Array.from(chunk));
    }
    const whole = Buffer.concat(chunks);
    return { etag: this.store(key, whole, options), bytes, sha256: sha256Hex(whole) };
  }

  async create(key: string, body: Uint8Array, options: PutOptions = {}): Promise<CreateOutcome> {
    checkKey(key);
    if (this.objects.has(key)) return { created: false };
    return { created: true, etag: this.store(key, body, options) };
  }

  async swap(key: string, body: Uint8Array, etag: string, options: PutOptions = {}): Promise<SwapOutcome> {
    checkKey(key);
    if (this.objects.get(key)?.etag !== etag) return { swapped: false };
    return { swapped: true, etag: this.store(key, body, options) };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    const limit = Math.min(options.limit ?? 1000, 1000);
    const objects: ListedObject[] = [];
    const folders: string[] = [];
    let last: string | null = null;
    for (const entry of this.entriesOf(prefix, options)) {
      if (objects.length + folders.length === limit) return { objects, folders, next: last };
      if (typeof entry === 'string') folders.push(entry);
      else objects.push(entry);
      last = typeof entry === 'string' ? entry : entry.key;
    }
    return { objects, folders, next: null };
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    for (const key of keys) this.objects.delete(key);
  }

  async check(): Promise<void> {}

  /** Objects and folder names in key order, each once, strictly after `options.after`. */
  private *entriesOf(prefix: string, options: ListOptions): Generator<ListedObject | string> {
    let folder: string | undefined;
    for (const key of [...this.objects.keys()].sort(compareKeys)) {
      if (!key.startsWith(prefix) || (folder !== undefined && key.startsWith(folder))) continue;
      const slash = options.folders === true ? key.indexOf('/', prefix.length) : -1;
      folder = slash === -1 ? undefined : key.slice(0, slash + 1);
      if (options.after !== undefined && compareKeys(folder ?? key, options.after) <= 0) continue;
      const stored = this.objects.get(key);
      if (folder !== undefined) yield folder;
      else if (stored !== undefined) yield listed(stored);
    }
  }

  private store(key: string, body: Uint8Array, options: PutOptions): string {
    checkKey(key);
    checkPutOptions(options);
    const etag = createHash('md5').update(body).digest('hex');
    this.objects.set(key, {
      key,
      bytes: body.byteLength,
      etag,
      lastModifiedMs: this.nowMs(),
      contentType: options.contentType ?? null,
      metadata: { ...options.metadata },
      body: Uint8Array.from(body),
    });
    return etag;
  }
}

function listed({ key, bytes, etag, lastModifiedMs }: StoredObject): ListedObject {
  return { key, bytes, etag, lastModifiedMs };
}
