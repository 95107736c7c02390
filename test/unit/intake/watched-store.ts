import { AppError } from '../../../src/base/errors.ts';
import type {
  CreateOutcome,
  GetOptions,
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
} from '../../../src/storage/index.ts';

export interface StoreWrite {
  readonly operation: 'put' | 'putStream' | 'create' | 'swap' | 'delete';
  readonly key: string;
}

/** A store whose writes are seen, and which can fail: once, for a time, or for ever as for a process that is killed. */
export class WatchedStore implements ObjectStore {
  readonly writes: StoreWrite[] = [];
  /** Called before each write; what it throws is what the write throws. */
  beforeWrite: (write: StoreWrite) => void | Promise<void> = () => {};
  /** Called before each read. */
  beforeRead: (key: string) => void | Promise<void> = () => {};
  #killAfter = Number.POSITIVE_INFINITY;
  #isKilled = false;
  readonly #store: ObjectStore;

  constructor(store: ObjectStore) {
    this.#store = store;
  }

  /** The process dies at the n-th write from now: before it reaches the store, or when it has. */
  killAtWrite(count: number): void {
    this.#killAfter = count;
  }

  get isKilled(): boolean {
    return this.#isKilled;
  }

  async get(key: string, options?: GetOptions): Promise<StoredObject | undefined> {
    await this.#read(key);
    return this.#store.get(key, options);
  }

  async getStream(key: string, options?: GetOptions): Promise<StreamedObject | undefined> {
    await this.#read(key);
    return this.#store.getStream(key, options);
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    await this.#read(key);
    return this.#store.head(key);
  }

  async list(prefix: string, options?: ListOptions): Promise<Listing> {
    await this.#read(prefix);
    return this.#store.list(prefix, options);
  }

  put(key: string, body: Uint8Array, options?: PutOptions): Promise<{ readonly etag: string }> {
    return this.#write({ operation: 'put', key }, () => this.#store.put(key, body, options));
  }

  putStream(key: string, body: AsyncIterable<Uint8Array>, options?: PutStreamOptions): Promise<StreamedPut> {
    return this.#write({ operation: 'putStream', key }, () => this.#store.putStream(key, body, options));
  }

  create(key: string, body: Uint8Array, options?: PutOptions): Promise<CreateOutcome> {
    return this.#write({ operation: 'create', key }, () => this.#store.create(key, body, options));
  }

  swap(key: string, body: Uint8Array, etag: string, options?: PutOptions): Promise<SwapOutcome> {
    return this.#write({ operation: 'swap', key }, () => this.#store.swap(key, body, etag, options));
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#write({ operation: 'delete', key: keys[0] ?? '' }, () => this.#store.delete(keys));
  }

  async check(): Promise<void> {}

  async #read(key: string): Promise<void> {
    this.#requireAlive();
    await this.beforeRead(key);
  }

  async #write<Result>(write: StoreWrite, run: () => Promise<Result>): Promise<Result> {
    this.#requireAlive();
    await this.beforeWrite(write);
    this.#killAfter -= 0.5;
    if (this.#killAfter <= 0) this.#isKilled = true;
    this.#requireAlive();
    this.writes.push(write);
    const result = await run();
    this.#killAfter -= 0.5;
    if (this.#killAfter <= 0) this.#isKilled = true;
    this.#requireAlive();
    return result;
  }

  #requireAlive(): void {
    if (this.#isKilled) throw new AppError('transient.store-unreachable', 'this process was killed');
  }
}
