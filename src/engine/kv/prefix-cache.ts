import type { TierStats } from '../messages.ts';
import type { PageLatents } from '../ports.ts';
import type { BlockSource } from './block-budget.ts';

/** Pages that may not be evicted; made by `lock`, ended by `unlock`. */
export interface PageLock {
  readonly names: readonly string[];
}

/**
 * Pages in memory, found by the names of a prompt's blocks in order (`namePages`).
 *
 * P1 A page is there only while its parent is: a look-up from the root never finds a gap.
 * P2 A locked page stays, and so do all before it.
 * P3 Eviction takes the page that was used longest ago among those without children and locks. Used means: matched,
 *    inserted, unlocked. Order of use is all that counts, never the time.
 * P4 One page is one block of the budget's `cached`.
 *
 * `names` are always those of one prompt from its first block on. All is synchronous, so nothing can happen between
 * `match` and the `lock` that follows it without an `await`.
 */
export interface PrefixCache extends BlockSource {
  readonly pageTotal: number;
  /** Pages without locks: all of them can go, children first. */
  readonly evictable: number;
  /** How many of the first names are cached; counts as their use. */
  match(names: readonly string[]): number;
  /** As `match`, leaving order and counters alone. */
  peek(names: readonly string[]): number;
  /** Locks the first `count` pages. Throws `bug.invariant` when one of them is not cached. */
  lock(names: readonly string[], count: number): PageLock;
  /** Throws `bug.invariant` for a lock that has ended already. */
  unlock(lock: PageLock): void;
  /** The page itself, not a copy: read only. */
  read(name: string): PageLatents | undefined;
  /**
   * Keeps a page behind its parent (`null`: first of its text), and owns the array from then on. A new page counts as
   * used when its parent was. True for a page that is kept already (the array given is not); false when the parent is
   * absent or there is no room, even after evicting everything but the parent and those before it.
   * Throws `bug.invariant` for an array that is not one whole block with a buffer of its own.
   */
  insert(name: string, parent: string | null, latents: PageLatents): boolean;
  /** Takes up to `pages` unlocked pages out; how many it took. */
  evict(pages: number): number;
  /** Hits and misses are pages `match` found and did not find. */
  stats(): TierStats;
  /** P1 to P4, and the budget's own check. Throws `bug.invariant` with the figures. */
  checkIntegrity(): void;
}
