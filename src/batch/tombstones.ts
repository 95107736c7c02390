import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { keys, type ObjectStore, prefixes } from '../storage/index.ts';
import { checkVersion, encodeRecord, parseStoredJson } from './decode-record.ts';
import { deletePrefix } from './delete-prefix.ts';

/**
 * What was deleted, written before anything of it goes. Whoever deletes may die on the way: the sweep does the rest.
 *
 * D1. A tombstone names everything that is to be gone, so the sweep needs no record of the thing itself.
 * D2. It stays for longer than an `Idempotency-Key` is kept, so a repeated create cannot bring a deleted batch back.
 * D3. What is named is deleted when it is found, and once more at the tombstone's end: a process that was frozen
 *     while it wrote may come late.
 */
export interface Tombstone {
  readonly id: string;
  readonly tenant: string;
  readonly prefixes: readonly string[];
  readonly keys: readonly string[];
  readonly atMs: number;
}

/** Past the 24 hours of an idempotency key. */
export const tombstoneMs = 25 * 60 * 60 * 1000;
/** Late writers are frozen processes, mostly seconds or minutes late. */
const repeatMs = 15 * 60 * 1000;

interface Buried extends Tombstone {
  sweptMs: number;
}

export class Tombstones {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  /** By key; a tombstone never changes, so each is read once. */
  readonly #known = new Map<string, Buried>();

  constructor(store: ObjectStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** From here on the thing is being deleted, whatever happens to us. */
  async bury(what: Omit<Tombstone, 'atMs'>): Promise<void> {
    const { id, tenant } = what;
    const body = { version: 1, id, tenant, prefixes: what.prefixes, keys: what.keys, at_ms: this.#clock.nowMs() };
    await this.#store.put(keys.deleted(id), encodeRecord(body), { contentType: 'application/json' });
  }

  async isBuried(id: string): Promise<boolean> {
    return (await this.#store.head(keys.deleted(id))) !== undefined;
  }

  /** Deletes what tombstones name, and tombstones whose time is over. @returns objects deleted @throws `transient.*` */
  async sweep(): Promise<number> {
    let deleted = 0;
    const seen = new Set<string>();
    for (let after: string | null = ''; after !== null; ) {
      const listing = await this.#store.list(prefixes.deleted, after === '' ? {} : { after });
      for (const { key } of listing.objects) {
        seen.add(key);
        deleted += await this.#sweepOne(key);
      }
      after = listing.next;
    }
    for (const key of this.#known.keys()) if (!seen.has(key)) this.#known.delete(key);
    return deleted;
  }

  async #sweepOne(key: string): Promise<number> {
    const buried = this.#known.get(key) ?? (await this.#read(key));
    if (buried === undefined) return 0;
    this.#known.set(key, buried);
    const nowMs = this.#clock.nowMs();
    const isOver = nowMs - buried.atMs >= tombstoneMs;
    // the first time, again after a while, and at the end
    const isDue = buried.sweptMs < buried.atMs + repeatMs && nowMs >= buried.atMs + repeatMs;
    if (buried.sweptMs !== Number.NEGATIVE_INFINITY && !isDue && !isOver) return 0;
    const deleted = await this.#remove(buried);
    buried.sweptMs = nowMs;
    if (isOver) await this.#store.delete([key]);
    return deleted;
  }

  async #remove({ keys: single, prefixes: whole }: Tombstone): Promise<number> {
    let deleted = 0;
    if (single.length > 0) await this.#store.delete(single);
    for (const prefix of whole) deleted += await deletePrefix(this.#store, prefix);
    return deleted;
  }

  async #read(key: string): Promise<Buried | undefined> {
    const object = await this.#store.get(key);
    if (object === undefined) return undefined;
    const value = parseStoredJson(object.body, key);
    checkVersion(value, key);
    const { id, tenant, prefixes: whole, keys: single, at_ms: atMs } = value as Readonly<Record<string, unknown>>;
    const isText = (text: unknown): boolean => typeof text === 'string' && text.startsWith('v1/') && text.length > 3;
    const isWhole =
      typeof id === 'string' && typeof tenant === 'string' && Number.isFinite(atMs) && Array.isArray(whole);
    // a damaged tombstone must not delete what it does not mean
    if (!isWhole || !whole.every(isText) || !Array.isArray(single) || !single.every(isText)) {
      throw new AppError('corrupt.record', 'tombstone does not say what is deleted', { details: { key } });
    }
    return {
      id,
      tenant,
      prefixes: whole as string[],
      keys: single as string[],
      atMs: atMs as number,
      sweptMs: Number.NEGATIVE_INFINITY,
    };
  }
}
