import { invariant } from '../../base/invariant.ts';
import type { TierStats } from '../messages.ts';
import type { BlockBudget } from './block-budget.ts';
import type { PrefixCache } from './prefix-cache.ts';

/** Keeps nothing: what an engine computes with it is what one with a real cache has to compute. */
export class NoPrefixCache implements PrefixCache {
  readonly pageTotal = 0;
  readonly evictable = 0;
  readonly #budget: BlockBudget;
  #misses = 0;

  constructor(budget: BlockBudget) {
    this.#budget = budget;
    budget.reclaimFrom(this);
  }

  match(names: readonly string[]): number {
    this.#misses += names.length;
    return 0;
  }

  read(): undefined {
    return undefined;
  }

  insert(): boolean {
    return false;
  }

  evict(): number {
    return 0;
  }

  stats(): TierStats {
    return { pages: 0, bytes: 0, budgetBytes: 0, hits: 0, misses: this.#misses, writes: 0, evictions: 0, corrupt: 0 };
  }

  checkIntegrity(): void {
    this.#budget.checkIntegrity();
    invariant(
      this.#budget.cached === 0,
      `the budget counts ${this.#budget.cached} cached blocks, the cache keeps none`,
    );
  }
}
