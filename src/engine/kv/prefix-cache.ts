import type { TierStats } from '../messages.ts';
import type { PageLatents } from '../ports.ts';
import type { BlockSource } from './block-budget.ts';

/**
 * Pages in memory, found by the names of a prompt's blocks in order (`namePages`).
 *
 * P1 A page is there only while its parent is: a look-up from the root never finds a gap.
 * P2 Eviction takes the page that was used longest ago among those without children. Used means: matched or inserted.
 *    Order of use is all that counts, never the time.
 * P3 One page is one block of the budget's `cached`.
 *
 * `names` are always those of one prompt from its first block on.
 */
export interface PrefixCache extends BlockSource {
  readonly pageTotal: number;
  /** All pages: each can go, children first. */
  readonly evictable: number;
  /** How many of the first names are cached; counts as their use. */
  match(names: readonly string[]): number;
  /** The page itself, not a copy: read only. */
  read(name: string): PageLatents | undefined;
  /**
   * Keeps a page behind its parent (`null`: first of its text), and owns the array from then on. A new page counts as
   * used when its parent was. True for a page that is kept already (the array given is not); false when the parent is
   * absent or there is no room, even after evicting everything but the parent and those before it.
   * Throws `bug.invariant` for an array that is not one whole block with a buffer of its own.
   */
  insert(name: string, parent: string | null, latents: PageLatents): boolean;
  /** Takes up to `pages` pages out; how many it took. */
  evict(pages: number): number;
  /** Hits and misses are pages `match` found and did not find. */
  stats(): TierStats;
  /** P1 to P3, and the budget's own check. Throws `bug.invariant` with the figures. */
  checkIntegrity(): void;
}
