import { isFamily } from '../base/errors.ts';
import type { ListedObject, ObjectStore } from '../storage/index.ts';
import type { DropRecord } from './drop.schema.ts';
import { type Drop, dropOf } from './drop.ts';
import type { DropLedger } from './drop-ledger.ts';
import { forEachConcurrent } from './for-each-concurrent.ts';
import { manifestName, parseInboxKey, readySuffix, templateName } from './inbox-key.ts';
import { digestRules, type IntakeRules, loadTemplate } from './rules.ts';

/** A version that has settled and is nobody's yet. */
export interface FoundDrop {
  readonly drop: Drop;
  /** Time of the ready marker that let it in. */
  readonly readyMs: number | null;
}

export interface LookResult {
  readonly found: readonly FoundDrop[];
  /** When a waiting object may have settled; null when nothing waits for time. */
  readonly nextMs: number | null;
}

interface Sighting {
  readonly etag: string;
  readonly bytes: number;
  readonly sinceMs: number;
  /** The ready marker that spoke of the version before; null when there was none. */
  readonly usedReadyMs: number | null;
}

interface Waiting {
  readonly object: ListedObject;
  readonly judgedBy: string;
}

const recordsAtOnce = 16;

/**
 * Decides which objects of a folder are to be taken up, from a listing of it. Keeps in memory what it saw; a new process
 * reads each key's record once and lets unknown objects settle again.
 */
export class Lookout {
  readonly #store: ObjectStore;
  readonly #ledger: DropLedger;
  readonly #rules: IntakeRules;
  readonly #settleMs: number;
  readonly #seen = new Map<string, Sighting>();
  /** Versions that need no look: by name of what their rejection rests on, or null when nothing can change it. */
  readonly #settled = new Map<string, { readonly etag: string; readonly judgedBy: string | null }>();
  readonly #templates = new Map<string, { readonly etag: string | null; readonly waitForReady: boolean }>();

  constructor(store: ObjectStore, ledger: DropLedger, rules: IntakeRules, settleMs: number) {
    this.#store = store;
    this.#ledger = ledger;
    this.#rules = rules;
    this.#settleMs = settleMs;
  }

  /** `objects` are all objects that lie in the folder itself. @throws `transient.*` */
  async look(folder: string, objects: readonly ListedObject[], nowMs: number): Promise<LookResult> {
    const byName = new Map(objects.map((object) => [object.key.slice(folder.length), object]));
    const waiting: Waiting[] = [];
    const fresh = this.#candidates(byName).filter(({ object, judgedBy }) => !this.#isSettled(object, judgedBy));
    if (fresh.length === 0) return { found: [], nextMs: null };
    const batchedMs = byName.has(manifestName) ? null : await this.#findBatchedMs(folder);
    await forEachConcurrent(fresh, recordsAtOnce, async (one) => {
      const { key, etag, lastModifiedMs } = one.object;
      if (batchedMs !== null && lastModifiedMs <= batchedMs) this.#settled.set(key, { etag, judgedBy: null });
      else if (!(await this.#isKnown(one, nowMs))) waiting.push(one);
    });
    return this.#takeSettled(folder, byName, waiting, nowMs);
  }

  /** It was opened: no look until the object or the rules change. */
  settle(object: Pick<Drop, 'key' | 'etag'>, judgedBy: string | null): void {
    this.#settled.set(object.key, { etag: object.etag, judgedBy });
  }

  /** It is as if it had never been there. */
  forget(key: string): void {
    this.#settled.delete(key);
    this.#seen.delete(key);
  }

  /** Forgets what a complete listing does not have any more. */
  keep(isThere: (key: string) => boolean): void {
    for (const known of [this.#settled, this.#seen]) {
      for (const key of known.keys()) if (!isThere(key)) known.delete(key);
    }
    for (const folder of this.#templates.keys())
      if (!isThere(`${folder}${templateName}`)) this.#templates.delete(folder);
  }

  /** In a folder with a manifest, it and nothing else; empty objects are still to come. */
  #candidates(byName: ReadonlyMap<string, ListedObject>): readonly Waiting[] {
    const manifest = byName.get(manifestName);
    if (manifest !== undefined) {
      return manifest.bytes === 0 ? [] : [{ object: manifest, judgedBy: digestRules(this.#rules, null) }];
    }
    const judgedBy = digestRules(this.#rules, byName.get(templateName)?.etag ?? null);
    return [...byName.values()]
      .filter(({ key, bytes }) => bytes > 0 && parseInboxKey(key)?.type === 'document')
      .map((object) => ({ object, judgedBy }));
  }

  #isSettled({ key, etag }: ListedObject, judgedBy: string): boolean {
    const settled = this.#settled.get(key);
    return settled?.etag === etag && (settled.judgedBy === null || settled.judgedBy === judgedBy);
  }

  /** Documents of a manifest batch do not run alone later, when their manifest was tidied away. */
  async #findBatchedMs(folder: string): Promise<number | null> {
    const record = await this.#findRecord(`${folder}${manifestName}`);
    return record?.state === 'claimed' ? record.at_ms : null;
  }

  /** Notes the object. True when its record says that nothing is to be done about this version. */
  async #isKnown({ object, judgedBy }: Waiting, nowMs: number): Promise<boolean> {
    const { key, etag, bytes } = object;
    const before = this.#seen.get(key);
    const isSame = before?.etag === etag && before.bytes === bytes;
    // a known sighting was looked up when it was new; only other rules can have changed its case since
    if (isSame && !this.#settled.has(key)) return false;
    const record = await this.#findRecord(key);
    const usedReadyMs = record === undefined || record.etag === etag ? null : record.ready_ms;
    if (!isSame) this.#seen.set(key, { etag, bytes, sinceMs: nowMs, usedReadyMs });
    if (record === undefined || !holds(record, etag, judgedBy)) return false;
    this.#settled.set(key, { etag, judgedBy: record.state === 'rejected' ? judgedBy : null });
    return true;
  }

  /** A damaged record must not stop the rest of the folder; its own drop will tell. */
  async #findRecord(key: string): Promise<DropRecord | undefined> {
    try {
      return (await this.#ledger.findRecord(key))?.value;
    } catch (error) {
      if (isFamily(error, 'corrupt')) return undefined;
      throw error;
    }
  }

  async #takeSettled(
    folder: string,
    byName: ReadonlyMap<string, ListedObject>,
    waiting: readonly Waiting[],
    nowMs: number,
  ): Promise<LookResult> {
    const found: FoundDrop[] = [];
    let nextMs: number | null = null;
    for (const { object, judgedBy } of waiting) {
      const readyMs = this.#findReadyMs(folder, byName, object);
      const settledMs = readyMs === null ? await this.#settledMs(folder, byName, object, nowMs) : nowMs;
      if (settledMs === null) continue;
      if (settledMs > nowMs) {
        nextMs = Math.min(nextMs ?? settledMs, settledMs);
        continue;
      }
      const drop = dropOf(object.key, object.etag);
      this.#settled.set(object.key, { etag: object.etag, judgedBy });
      found.push({ drop, readyMs });
    }
    return { found, nextMs };
  }

  /** Time of the marker that speaks of this version; null when there is none. */
  #findReadyMs(folder: string, byName: ReadonlyMap<string, ListedObject>, object: ListedObject): number | null {
    const name = object.key.slice(folder.length);
    const names = name === manifestName ? [`${name}${readySuffix}`, readySuffix] : [`${name}${readySuffix}`];
    const used = this.#seen.get(object.key)?.usedReadyMs ?? null;
    for (const each of names) {
      const markedMs = byName.get(each)?.lastModifiedMs;
      // one that let in the version before speaks of this one only if it was written again; stores know seconds only
      const isStale = markedMs === used && markedMs !== undefined && markedMs + 999 < object.lastModifiedMs;
      if (markedMs !== undefined && !isStale) return markedMs;
    }
    return null;
  }

  /** When an object without marker has settled, or may have; null: only a marker lets it in. */
  async #settledMs(
    folder: string,
    byName: ReadonlyMap<string, ListedObject>,
    object: ListedObject,
    nowMs: number,
  ): Promise<number | null> {
    if (object.key === `${folder}${manifestName}`) return null;
    if (await this.#waitsForReady(folder, byName.get(templateName)?.etag ?? null)) return null;
    const seenMs = (this.#seen.get(object.key)?.sinceMs ?? nowMs) + this.#settleMs;
    // a store whose clock is ahead of ours must not keep anybody waiting: what was seen counts then
    const modifiedMs = object.lastModifiedMs > nowMs ? 0 : object.lastModifiedMs + this.#settleMs;
    return Math.max(seenMs, modifiedMs);
  }

  async #waitsForReady(folder: string, etag: string | null): Promise<boolean> {
    if (etag === null) return false;
    const known = this.#templates.get(folder);
    if (known?.etag === etag) return known.waitForReady;
    const loaded = await loadTemplate(this.#store, this.#rules, folder);
    const waitForReady = loaded.type === 'valid' && loaded.template.waitForReady;
    this.#templates.set(folder, { etag: loaded.etag, waitForReady });
    return waitForReady;
  }
}

/** Does the record settle this version under these rules? What it claims is finished, or has a marker. */
function holds(record: DropRecord, etag: string, judgedBy: string): boolean {
  if (record.etag !== etag) return false;
  switch (record.state) {
    case 'claimed':
    case 'quarantined':
      return true;
    case 'rejected':
      return record.judged_by === judgedBy;
    case 'withdrawn':
      return false;
  }
}
