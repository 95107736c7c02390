import type { Clock } from '../base/clock.ts';
import { isFamily } from '../base/errors.ts';
import { defaultTenant } from '../base/ids.ts';
import { lifecycle } from '../base/lifecycle.contract.ts';
import type { Logger } from '../base/log.ts';
import type { BatchStore } from '../batch/index.ts';
import type { EventBus, QuireEvent, WorkQueue } from '../queue/index.ts';
import { type ListedObject, type ObjectStore, prefixes } from '../storage/index.ts';
import { DropLedger, dropOfMarker } from './drop-ledger.ts';
import { ActivityReader } from './drop-status.ts';
import { forEachConcurrent } from './for-each-concurrent.ts';
import { parseInboxKey } from './inbox-key.ts';
import type { FoundDrop } from './lookout.ts';
import { Lookout } from './lookout.ts';
import type { IntakeRules } from './rules.ts';
import { Slots } from './slots.ts';
import { TendedDrop, type TendingDeps } from './tended-drop.ts';

export interface IntakeDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly log: Logger;
  readonly rules: IntakeRules;
}

export interface IntakeOptions {
  /** Between two listings of the whole inbox. @defaultValue 2,000 */
  readonly listMs?: number;
  /** How long an object must stay as it is. @defaultValue 5,000 */
  readonly settleMs?: number;
}

const tickMs = 100;
const tendedAtOnce = 8;
const openedAtOnce = 8;
/** A folder is looked at so seldom that looking takes at most a fifth of the time, however long it is. */
const minFolderGapMs = 250;
const folderGapFactor = 4;
/** News of one batch come with every segment. */
const wakeGapMs = 250;
/** Looks without news: 40 a second over all open drops, each at most once a second and at least every 10 seconds. */
const lookMsPerDrop = 25;
const minLookMs = 1_000;
const maxLookMs = 10_000;
/** A marker this old whose drop nobody here tends may belong to an intake that is gone. */
const adoptMs = 10_000;

/**
 * Turns objects of the inbox into batches and batches into objects of the outbox. Any number of these may run; the store
 * decides between them, and all of them together write what one would.
 *
 * I1. Notifications are hints to look sooner. What is missed is found by listing; what was never true does no harm.
 * I2. Nothing is remembered here that is not in the store, but when to look and since when objects look as they do.
 * I3. A drop that fails does not stop the others.
 */
export class Intake {
  readonly #deps: TendingDeps;
  readonly #bus: EventBus;
  readonly #lookout: Lookout;
  readonly #listMs: number;
  readonly #drops = new Map<string, TendedDrop>();
  readonly #dropsByBatch = new Map<string, TendedDrop>();
  /** Folders to look at, and when. */
  readonly #dueFolders = new Map<string, number>();
  readonly #rested = new Map<string, number>();
  readonly #slots = new Slots(tendedAtOnce);
  readonly #running = new Map<TendedDrop, Promise<void>>();
  readonly #damaged = new Set<string>();
  #isAway = false;

  constructor(deps: IntakeDeps, { listMs = 2_000, settleMs = 5_000 }: IntakeOptions = {}) {
    const { store, bus, queue, clock, rules } = deps;
    const ledger = new DropLedger(store, defaultTenant);
    const activity = new ActivityReader(bus, queue, () => clock.nowMs());
    this.#deps = { ...deps, tenant: defaultTenant, ledger, activity };
    this.#bus = bus;
    this.#lookout = new Lookout(store, ledger, rules, settleMs);
    this.#listMs = listMs;
  }

  /** Drops that are not finished. */
  get openTotal(): number {
    return this.#drops.size;
  }

  /** Works until the signal aborts, then lets running steps end. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps;
    const unsubscribe = this.#bus.subscribe((event) => this.hear(event));
    let scanMs = Number.NEGATIVE_INFINITY;
    let adoptAfterMs = 0;
    while (!signal.aborted) {
      if (clock.nowMs() >= scanMs) {
        if (await this.#guard(() => this.adopt(adoptAfterMs))) adoptAfterMs = adoptMs;
        await this.#guard(() => this.scan());
        scanMs = clock.nowMs() + this.#listMs;
      }
      await this.#guard(() => this.lookAtDueFolders());
      void this.tend();
      await clock.sleep(tickMs, signal).catch(() => {});
    }
    unsubscribe();
    await Promise.race([Promise.allSettled(this.#running.values()), clock.sleep(lifecycle.graceMs / 2)]);
    await Promise.all([...this.#drops.values()].map((drop) => drop.close()));
  }

  /** News that an object may have come, changed or gone. Keys outside the inbox are ignored. */
  hint(keys: readonly string[]): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const key of keys) {
      const folder = parseInboxKey(key)?.folder;
      if (folder !== undefined) this.#lookLater(folder, nowMs);
    }
  }

  /** News of a batch: its drop is looked at soon. */
  hear(event: QuireEvent): void {
    this.#dropsByBatch.get(event.batchId)?.wake(this.#deps.clock.nowMs() + wakeGapMs);
  }

  /** Takes up drops that others left: those whose marker is at least so old. */
  async adopt(ageMs = 0): Promise<void> {
    const { ledger, clock } = this.#deps;
    for await (const page of ledger.listOpen()) {
      const left = page.filter(({ dropId, markedMs }) => !this.#drops.has(dropId) && clock.nowMs() - markedMs >= ageMs);
      await forEachConcurrent(left, openedAtOnce, ({ dropId }) => this.#adoptOne(dropId));
    }
  }

  async #adoptOne(dropId: string): Promise<void> {
    const { ledger, log } = this.#deps;
    try {
      const marker = await ledger.findMarker(dropId);
      if (marker === undefined) return;
      const drop = dropOfMarker(marker);
      this.#tendFromNow(new TendedDrop(this.#deps, drop, marker.ready_ms, marker.failures));
      this.#lookout.settle(drop, null);
    } catch (err) {
      if (!isFamily(err, 'corrupt')) throw err;
      // it stays, for somebody to look at: said once
      if (!this.#damaged.has(dropId)) log.error({ dropId, err }, 'marker of a drop is damaged');
      this.#damaged.add(dropId);
    }
  }

  /** Lists the whole inbox. @throws `transient.*` */
  async scan(): Promise<void> {
    const folders = new Map<string, ListedObject[]>();
    const listed = new Set<string>();
    for await (const object of this.#list(prefixes.inbox)) {
      listed.add(object.key);
      const folder = object.key.slice(0, object.key.lastIndexOf('/') + 1);
      const objects = folders.get(folder);
      if (objects === undefined) folders.set(folder, [object]);
      else objects.push(object);
    }
    this.#lookout.keep((key) => listed.has(key));
    for (const [folder, objects] of folders) await this.#look(folder, objects);
    for (const folder of this.#rested.keys()) if (!folders.has(folder)) this.#rested.delete(folder);
  }

  /** Looks at the folders hinted at, and those where something may have settled. @throws `transient.*` */
  async lookAtDueFolders(): Promise<void> {
    const { clock } = this.#deps;
    const due = [...this.#dueFolders].filter(([, dueMs]) => dueMs <= clock.nowMs()).map(([folder]) => folder);
    for (const folder of due) {
      this.#dueFolders.delete(folder);
      const beginMs = clock.nowMs();
      const objects: ListedObject[] = [];
      try {
        for await (const object of this.#list(folder, true)) objects.push(object);
        await this.#look(folder, objects);
      } finally {
        const endMs = clock.nowMs();
        this.#rested.set(folder, endMs + Math.max(minFolderGapMs, (endMs - beginMs) * folderGapFactor));
      }
    }
  }

  /** Takes a step with every open drop that is due; resolves when these have ended. */
  async tend(): Promise<void> {
    const nowMs = this.#deps.clock.nowMs();
    const due = [...this.#drops.values()].filter((drop) => drop.dueMs <= nowMs && !this.#running.has(drop));
    const lookMs = Math.min(Math.max(this.#drops.size * lookMsPerDrop, minLookMs), maxLookMs);
    const steps = due.map((drop) => {
      const step = this.#slots.run(() => this.#step(drop, lookMs)).finally(() => this.#running.delete(drop));
      this.#running.set(drop, step);
      return step;
    });
    await Promise.all(steps);
  }

  async #step(drop: TendedDrop, lookMs: number): Promise<void> {
    const outcome = await drop.step(lookMs);
    if (outcome === 'open') return;
    this.#drops.delete(drop.drop.id);
    this.#dropsByBatch.delete(drop.drop.batchId);
    if (outcome === 'withdrawn') this.#lookout.forget(drop.drop.key);
  }

  async #look(folder: string, objects: readonly ListedObject[]): Promise<void> {
    const { found, nextMs } = await this.#lookout.look(folder, objects, this.#deps.clock.nowMs());
    if (nextMs !== null) this.#lookLater(folder, nextMs);
    await forEachConcurrent(found, openedAtOnce, (one) => this.#open(one));
  }

  async #open({ drop, readyMs }: FoundDrop): Promise<void> {
    if (this.#drops.has(drop.id)) return;
    try {
      await this.#deps.ledger.openMarker(drop, readyMs);
    } catch (error) {
      this.#lookout.forget(drop.key);
      throw error;
    }
    this.#tendFromNow(new TendedDrop(this.#deps, drop, readyMs));
  }

  #tendFromNow(tended: TendedDrop): void {
    if (this.#drops.has(tended.drop.id)) return;
    this.#drops.set(tended.drop.id, tended);
    this.#dropsByBatch.set(tended.drop.batchId, tended);
  }

  #lookLater(folder: string, atMs: number): void {
    const dueMs = Math.max(atMs, this.#rested.get(folder) ?? 0);
    this.#dueFolders.set(folder, Math.min(dueMs, this.#dueFolders.get(folder) ?? dueMs));
  }

  async *#list(prefix: string, ownOnly = false): AsyncGenerator<ListedObject> {
    for (let after: string | null = ''; after !== null; ) {
      const options = { ...(after === '' ? {} : { after }), folders: ownOnly };
      const listing: { objects: readonly ListedObject[]; next: string | null } = await this.#deps.store.list(
        prefix,
        options,
      );
      yield* listing.objects;
      after = listing.next;
    }
  }

  /** What fails now is tried again soon; an outage is one line of log. */
  async #guard(run: () => Promise<void>): Promise<boolean> {
    try {
      await run();
      this.#isAway = false;
      return true;
    } catch (err) {
      if (!this.#isAway) this.#deps.log.warn({ err }, 'inbox could not be read');
      this.#isAway = true;
      return false;
    }
  }
}
