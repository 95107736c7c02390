import { sha256Hex } from '../base/hash.ts';
import { keys, type ListedObject, type ObjectStore } from '../storage/index.ts';
import { decodeDropClaim, decodeDropRecord, decodeOpenDrop, encodeJson } from './decode-drop.ts';
import type { DropClaim, DropRecord, OpenDrop } from './drop.schema.ts';
import { type Drop, dropOf } from './drop.ts';

export interface Versioned<Value> {
  readonly value: Value;
  /** Of the stored record, for the next swap. */
  readonly etag: string;
}

/**
 * What the store knows about drops.
 *
 * L1. The marker is there before anything else is written about a drop, and goes when nothing is left to write.
 * L2. The claim is created once; all that a batch consists of follows from it and from the bytes it names.
 * L3. The record of a key changes by compare-and-swap only. Whoever takes a version up read the record before looking at
 *     the object, so an older version never replaces a newer one.
 */
export class DropLedger {
  readonly #store: ObjectStore;
  readonly #tenant: string;

  constructor(store: ObjectStore, tenant: string) {
    this.#store = store;
    this.#tenant = tenant;
  }

  /** Opens a drop; one that is open stays as it is. */
  async openMarker(drop: Drop, readyMs: number | null): Promise<void> {
    await this.#store.create(this.#markerKey(drop), encodeMarker(drop, readyMs, 0));
  }

  async saveFailures(drop: Drop, readyMs: number | null, failures: number): Promise<void> {
    await this.#store.put(this.#markerKey(drop), encodeMarker(drop, readyMs, failures));
  }

  async findMarker(dropId: string): Promise<OpenDrop | undefined> {
    const key = keys.openDrop(this.#tenant, dropId);
    const object = await this.#store.get(key);
    return object === undefined ? undefined : decodeOpenDrop(object.body, key);
  }

  async closeMarker(drop: Drop): Promise<void> {
    await this.#store.delete([this.#markerKey(drop)]);
  }

  /** Ids of all open drops, page by page. */
  async *listOpen(): AsyncGenerator<readonly { readonly dropId: string; readonly markedMs: number }[]> {
    const prefix = keys.openDropPrefix(this.#tenant);
    for (let after: string | null = ''; after !== null; ) {
      const listing: { objects: readonly ListedObject[]; next: string | null } = await this.#store.list(
        prefix,
        after === '' ? {} : { after },
      );
      yield listing.objects.map(({ key, lastModifiedMs }) => ({
        dropId: key.slice(prefix.length),
        markedMs: lastModifiedMs,
      }));
      after = listing.next;
    }
  }

  /** The claim that is there, else a new one. */
  async claim(drop: Drop, size: number, atMs: number): Promise<DropClaim> {
    const mine: DropClaim = {
      version: 1,
      key: drop.key,
      etag: drop.etag,
      size,
      batch_id: drop.batchId,
      at_ms: atMs,
    };
    const key = keys.dropClaim(this.#tenant, drop.id);
    for (;;) {
      const { created } = await this.#store.create(key, encodeJson(mine));
      if (created) return mine;
      const object = await this.#store.get(key);
      // gone again: somebody withdrew it
      if (object !== undefined) return decodeDropClaim(object.body, key);
    }
  }

  async dropClaim(drop: Drop): Promise<void> {
    await this.#store.delete([keys.dropClaim(this.#tenant, drop.id)]);
  }

  async findRecord(key: string): Promise<Versioned<DropRecord> | undefined> {
    const recordKey = this.#recordKey(key);
    const object = await this.#store.get(recordKey);
    return object === undefined ? undefined : { value: decodeDropRecord(object.body, recordKey), etag: object.etag };
  }

  /** undefined when somebody changed the record since it was read. */
  async saveRecord(
    next: DropRecord,
    before: Versioned<DropRecord> | undefined,
  ): Promise<Versioned<DropRecord> | undefined> {
    const key = this.#recordKey(next.key);
    const body = encodeJson(next);
    if (before === undefined) {
      const outcome = await this.#store.create(key, body);
      return outcome.created ? { value: next, etag: outcome.etag } : undefined;
    }
    const outcome = await this.#store.swap(key, body, before.etag);
    return outcome.swapped ? { value: next, etag: outcome.etag } : undefined;
  }

  /** Has the version that is current now published again. */
  async reopenCurrent(key: string): Promise<void> {
    const current = (await this.findRecord(key))?.value;
    if (current !== undefined && current.state !== 'withdrawn') {
      await this.openMarker(dropOf(key, current.etag), current.ready_ms);
    }
  }

  /** Does what is written about the key speak of this version? */
  async isCurrent(drop: Drop): Promise<boolean> {
    return (await this.findRecord(drop.key))?.value.etag === drop.etag;
  }

  #markerKey({ id }: Drop): string {
    return keys.openDrop(this.#tenant, id);
  }

  #recordKey(key: string): string {
    return keys.dropRecord(this.#tenant, sha256Hex(key));
  }
}

function encodeMarker({ key, etag }: Drop, readyMs: number | null, failures: number): Uint8Array {
  const marker: OpenDrop = { version: 1, key, etag, ready_ms: readyMs, failures };
  return encodeJson(marker);
}

export const dropOfMarker = ({ key, etag }: OpenDrop): Drop => dropOf(key, etag);
