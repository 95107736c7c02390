import { AppError } from '../base/errors.ts';
import type { ObjectStore, StoredObject } from '../storage/index.ts';
import type { Drop } from './drop.ts';
import type { DropLedger } from './drop-ledger.ts';

/** Bodies up to this size are replaced by compare-and-swap; a longer one is streamed. */
export const maxFencedBytes = 4 << 20;

/**
 * Writes what users read about one drop, as long as the key's record names this version.
 *
 * O1. The etag to replace is known before the record is read, and the record before the write. So a write of a version
 *     that was replaced meanwhile meets the newer version's object and is refused.
 * O2. A streamed body cannot be refused by the store. If the version was replaced during the stream, the newer one is
 *     opened again and writes over it.
 */
export class FencedOutputs {
  readonly #store: ObjectStore;
  readonly #ledger: DropLedger;
  readonly #drop: Drop;
  /** null: known to be absent. */
  readonly #etags = new Map<string, string | null>();

  constructor(store: ObjectStore, ledger: DropLedger, drop: Drop) {
    this.#store = store;
    this.#ledger = ledger;
    this.#drop = drop;
  }

  /** What is there now; a write that follows replaces only that. */
  async read(key: string): Promise<StoredObject | undefined> {
    const object = await this.#store.get(key);
    this.#etags.set(key, object?.etag ?? null);
    return object;
  }

  /** Learns what a later `write` will replace: to be called before what it says is read. */
  async prepare(key: string): Promise<void> {
    if (this.#etags.has(key)) return;
    this.#etags.set(key, (await this.#store.head(key))?.etag ?? null);
  }

  /** @throws `ownership.lost` when the version is not current, or somebody else wrote: look again */
  async write(key: string, body: Uint8Array, contentType: string): Promise<void> {
    await this.prepare(key);
    await this.#requireCurrent();
    const before = this.#etags.get(key) ?? null;
    this.#etags.delete(key);
    const options = { contentType };
    const outcome =
      before === null
        ? await this.#store.create(key, body, options)
        : await this.#store.swap(key, body, before, options);
    if (!('etag' in outcome)) throw this.lost('was written by somebody else', key);
    this.#etags.set(key, outcome.etag);
  }

  /** For bodies of any length. @throws `ownership.lost` when the version is not current */
  async writeStream(key: string, body: AsyncIterable<Uint8Array>, contentType: string): Promise<void> {
    await this.#requireCurrent();
    this.#etags.delete(key);
    const { etag } = await this.#store.putStream(key, body, { contentType });
    await this.#reopenNewer();
    this.#etags.set(key, etag);
  }

  async remove(keys: readonly string[]): Promise<void> {
    await this.#requireCurrent();
    await this.#store.delete(keys);
    for (const key of keys) this.#etags.delete(key);
    await this.#reopenNewer();
  }

  async #requireCurrent(): Promise<void> {
    if (!(await this.#ledger.isCurrent(this.#drop))) throw this.lost();
  }

  async #reopenNewer(): Promise<void> {
    if (await this.#ledger.isCurrent(this.#drop)) return;
    await this.#ledger.reopenCurrent(this.#drop.key);
    throw this.lost();
  }

  /** The error of a write that is not to be. */
  lost(what = 'speaks of another version', key: string = this.#drop.key): AppError {
    return new AppError('ownership.lost', `${JSON.stringify(key)} ${what}`);
  }
}
