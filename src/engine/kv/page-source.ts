import type { PageLatents, PageTier } from '../ports.ts';
import type { PrefixCache } from './prefix-cache.ts';

/** Pages read from a tier at a time: enough to keep a disk busy, few enough to bound what is in flight. */
const readAhead = 4;

/** Where pages come from and go to: memory first, then the tiers below it. */
export class PageSource {
  readonly #cache: PrefixCache;
  readonly #tier: PageTier | null;
  /** Called before a page is kept: whoever holds memory for less may give it up. */
  makeRoom: () => void = () => {};

  constructor(cache: PrefixCache, tier: PageTier | null) {
    this.#cache = cache;
    this.#tier = tier;
  }

  /** How many of the first pages of a prompt are in memory; counts as their use. */
  match(names: readonly string[]): number {
    return this.#cache.match(names);
  }

  /** A page from memory; read only. */
  read(name: string): PageLatents | undefined {
    return this.#cache.read(name);
  }

  hasBelow(name: string): boolean {
    return this.#tier?.has(name) ?? false;
  }

  /**
   * Reads pages `first`, `first + 1`, … from the tiers below memory in order, as far as they go, and keeps them in
   * memory.
   * @param take false: nobody waits for the pages any more
   */
  async loadBelow(names: readonly string[], first: number, take: (page: PageLatents) => boolean): Promise<void> {
    const tier = this.#tier;
    if (tier === null) return;
    const inFlight: Promise<PageLatents | undefined>[] = [];
    let next = first;
    const readMore = (): void => {
      while (inFlight.length < readAhead && next < names.length && tier.has(names[next] ?? '')) {
        inFlight.push(tier.load(names[next] ?? ''));
        next++;
      }
    };
    readMore();
    for (let index = first; inFlight.length > 0; index++) {
      const page = await inFlight.shift();
      if (page === undefined || !take(page)) break;
      this.makeRoom();
      this.#cache.insert(names[index] ?? '', names[index - 1] ?? null, page);
      readMore();
    }
    await Promise.all(inFlight);
  }

  /** Keeps a page in memory when there is room, and below it. */
  keep(name: string, parent: string | null, copy: () => PageLatents): void {
    const page = this.#cache.read(name) ?? copy();
    this.makeRoom();
    this.#cache.insert(name, parent, page);
    // a tier that has the page knows it; one that only may have it does not count
    void this.#tier?.save(name, page);
  }
}
