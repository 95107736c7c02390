import type { TierStats } from '../messages.ts';
import type { PageLatents, PageTier } from '../ports.ts';

/**
 * Tiers behind the memory cache as one, the nearest first.
 *
 * T1 A page is saved to the first tier at once; how it gets from there to the others is their business.
 * T2 A page is loaded from the first tier that has and gives it, and then saved to all before that one, without waiting.
 * T3 A chain of no tiers keeps nothing.
 */
export class TierChain implements PageTier {
  readonly #tiers: readonly PageTier[];
  readonly #copying = new Set<Promise<void>>();
  #hits = 0;
  #misses = 0;

  constructor(tiers: readonly PageTier[]) {
    this.#tiers = tiers;
  }

  has(name: string): boolean {
    return this.#tiers.some((tier) => tier.has(name));
  }

  /** The page belongs to the caller, who may not write to it: it is still being copied to the tiers above. */
  async load(name: string): Promise<PageLatents | undefined> {
    for (const [index, tier] of this.#tiers.entries()) {
      // without a wait, so that a tier below is asked for pages in the order in which they are loaded
      if (!tier.has(name)) continue;
      const latents = await tier.load(name);
      if (latents === undefined) continue;
      for (const nearer of this.#tiers.slice(0, index)) this.#copy(nearer.save(name, latents));
      this.#hits++;
      return latents;
    }
    this.#misses++;
    return undefined;
  }

  async save(name: string, latents: PageLatents): Promise<void> {
    await this.#tiers[0]?.save(name, latents);
  }

  /** Hits and misses of the chain as a whole; the rest summed over its tiers. */
  stats(): TierStats {
    const all = this.#tiers.map((tier) => tier.stats());
    const sum = (of: (stats: TierStats) => number): number => all.reduce((total, stats) => total + of(stats), 0);
    return {
      pages: sum(({ pages }) => pages),
      bytes: sum(({ bytes }) => bytes),
      budgetBytes: sum(({ budgetBytes }) => budgetBytes),
      hits: this.#hits,
      misses: this.#misses,
      writes: sum(({ writes }) => writes),
      evictions: sum(({ evictions }) => evictions),
      corrupt: sum(({ corrupt }) => corrupt),
    };
  }

  /** Waits for copies between tiers, then closes all. */
  async close(): Promise<void> {
    await Promise.all(this.#copying);
    await Promise.all(this.#tiers.map((tier) => tier.close()));
  }

  #copy(saving: Promise<void>): void {
    const copying = saving.finally(() => this.#copying.delete(copying));
    this.#copying.add(copying);
  }
}
