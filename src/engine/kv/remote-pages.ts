import type { RestoreStats, SavedPage, TierStats, WantedPage } from '../messages.ts';
import type { PageLatents, PageTier } from '../ports.ts';
import type { DiskTier } from './disk-tier.ts';
import { type ExpectedPage, ExpectedPages, type PageChainState } from './expected-pages.ts';
import { pagePath } from './page-folder.ts';
import { RestoreChoice } from './restore-choice.ts';

/** What crosses the process border: names and paths, never a page. */
export type PageMessage =
  | { readonly type: 'page-saved'; readonly page: SavedPage }
  | { readonly type: 'page-wanted'; readonly page: WantedPage };

export interface RemotePagesOptions {
  /** `ModelRunner.digest` */
  readonly digest: string;
  /** Pages come and go as files of its folder; its `onStored` is to be `stored` of this tier. */
  readonly disk: DiskTier;
  readonly folder: string;
  readonly nowMs: () => number;
}

/** Of one chain, once its first page was found: the store's latency is hidden by so many pages under way. */
const maxAhead = 16;
/** The carrier holds them in memory on their way; the largest models have pages of 36 MB. */
const maxAheadBytes = 128 * 2 ** 20;

/**
 * Pages in the object store, which another process can reach: it uploads files it is told of, and downloads files this
 * one asks for.
 *
 * R1 Only pages of prefixes that a request has brought (`expect`) are asked for or offered; their tenant is the request's.
 * R2 A page is offered (`page-saved`) once, when its file is on disk and a second request has brought its prefix.
 * R3 A page is asked for (`page-wanted`) when memory and disk lack it and reading is faster than computing
 *    (`RestoreChoice`). Of each chain the first missing page goes alone: a store that has none is asked once. After a page
 *    that is not there, the rest of the chain counts as not there for half a minute.
 * R4 A page of the store goes through a file of the disk tier, which checks it. One that does not decode is not asked
 *    for again, and is offered as a replacement once it was computed.
 * R5 Every `load` ends: by the answer to what was asked, or with the tier.
 *
 * A restored page counts as a hit here and as a hit of the disk tier, which read it.
 */
export class RemotePages implements PageTier {
  /** Where messages go. */
  onMessage: (message: PageMessage) => void = () => {};
  readonly #digest: string;
  readonly #disk: DiskTier;
  readonly #folder: string;
  readonly #pages: ExpectedPages;
  readonly #choice: RestoreChoice;
  /** A quarter of the disk at most: a page must not be evicted before it was read. */
  readonly #ahead: number;
  /** By the path a page was asked for at. */
  readonly #asked = new Map<string, (found: boolean) => void>();
  #isClosed = false;
  readonly #counts = { hits: 0, misses: 0, corrupt: 0, offered: 0, declined: 0 };

  constructor({ digest, disk, folder, nowMs }: RemotePagesOptions) {
    this.#digest = digest;
    this.#disk = disk;
    this.#folder = folder;
    this.#pages = new ExpectedPages(nowMs);
    this.#choice = new RestoreChoice(disk.fileBytes, nowMs);
    const aheadBytes = Math.min(disk.stats().budgetBytes / 4, maxAheadBytes);
    this.#ahead = Math.min(maxAhead, Math.floor(aheadBytes / disk.fileBytes));
  }

  /** A request with this prefix has come. @param names of its pages, in order */
  expect(tenant: string, names: readonly string[]): void {
    if (this.#isClosed) return;
    for (const page of this.#pages.expect(tenant, names)) {
      if (isOfferDue(page) && this.#disk.has(page.name)) this.#offer(page);
    }
  }

  /** May be there: only `load` can tell. */
  has(name: string): boolean {
    const page = this.#isClosed ? undefined : this.#pages.find(name);
    if (page === undefined) return false;
    return page.fetching !== null || (this.#pages.isAskable(page) && this.#choice.prefersReading);
  }

  async load(name: string): Promise<PageLatents | undefined> {
    const page = this.#pages.find(name);
    if (page === undefined || !this.has(name) || !(await this.#fetch(page))) return undefined;
    const damagedBefore = this.#disk.stats().corrupt;
    const latents = await this.#disk.load(name);
    // otherwise it was evicted before it could be read
    if (latents === undefined && this.#disk.stats().corrupt > damagedBefore) {
      this.#counts.corrupt++;
      this.#pages.markDamaged(page);
    }
    return latents;
  }

  /** Pages come here from the disk tier, by `stored`. */
  async save(): Promise<void> {}

  /** The disk tier has the file of a page now. */
  stored(name: string): void {
    const page = this.#pages.find(name);
    if (page === undefined || this.#isClosed) return;
    if (this.#pages.isAskable(page) && !this.#choice.prefersReading) this.#counts.declined++;
    if (isOfferDue(page)) this.#offer(page);
  }

  /** The answer to a `page-wanted`; one that was asked by an earlier process is none of ours. */
  arrived(path: string, found: boolean, bytesPerSecond: number | null): void {
    if (bytesPerSecond !== null) this.#choice.noteBandwidth(bytesPerSecond);
    this.#asked.get(path)?.(found);
  }

  notePrefill(tokens: number, ms: number): void {
    this.#choice.notePrefill(tokens, ms);
  }

  /** `pages` are those seen in the store by this process, `writes` those offered to it. */
  stats(): TierStats {
    const { hits, misses, corrupt, offered } = this.#counts;
    const pages = this.#pages.thereTotal;
    const bytes = pages * this.#disk.fileBytes;
    return { pages, bytes, budgetBytes: 0, hits, misses, writes: offered, evictions: 0, corrupt };
  }

  restoreStats(): RestoreStats {
    return { ...this.#choice.rates(), declined: this.#counts.declined };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const settle of [...this.#asked.values()]) settle(false);
  }

  #offer(page: ExpectedPage): void {
    const { name, tenant, isDamaged } = page;
    const path = pagePath(this.#folder, this.#digest, name);
    this.#pages.markOffered(page);
    this.#counts.offered++;
    const bytes = this.#disk.fileBytes;
    const saved = { tenant, digest: this.#digest, name, path, bytes, replaces: isDamaged };
    this.onMessage({ type: 'page-saved', page: saved });
  }

  /** Brings a page's file to the disk; is it there now? */
  #fetch(page: ExpectedPage): Promise<boolean> {
    page.fetching ??= this.#run(page, page.chain).finally(() => {
      page.fetching = null;
    });
    return page.fetching;
  }

  async #run(page: ExpectedPage, chain: PageChainState): Promise<boolean> {
    if (chain.opening !== null && !(await chain.opening)) return false;
    const receiving = this.#disk.receive(page.name, (path) => this.#ask(page, path));
    chain.opening ??= receiving;
    const found = await receiving;
    if (this.#isClosed) return false;
    if (!found) {
      chain.opening = null;
      this.#pages.markAbsent(page);
      return false;
    }
    this.#pages.markThere(page);
    for (const next of this.#pages.following(page, this.#ahead)) {
      if (next.fetching === null && this.has(next.name) && !this.#disk.has(next.name)) void this.#fetch(next);
    }
    return true;
  }

  /** Resolves when the file lies at the path, or never will. */
  async #ask({ tenant, name }: ExpectedPage, path: string): Promise<boolean> {
    if (this.#isClosed) return false;
    const answer = new Promise<boolean>((resolve) => this.#asked.set(path, resolve));
    this.onMessage({ type: 'page-wanted', page: { tenant, digest: this.#digest, name, path } });
    const found = await answer;
    this.#asked.delete(path);
    if (found) this.#counts.hits++;
    else this.#counts.misses++;
    return found;
  }
}

function isOfferDue({ isOffered, isDamaged, uses, state }: ExpectedPage): boolean {
  return !isOffered && (isDamaged || (uses > 1 && state !== 'there'));
}
