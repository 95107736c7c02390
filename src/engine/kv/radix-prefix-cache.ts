import { invariant } from '../../base/invariant.ts';
import type { TierStats } from '../messages.ts';
import type { PageLatents } from '../ports.ts';
import type { BlockBudget } from './block-budget.ts';
import type { PrefixCache } from './prefix-cache.ts';
import { type UseLink, UseOrder } from './use-order.ts';

/**
 * A radix tree whose edges are whole pages. A page's name contains its parent's (`page-name.ts`), so one map of names
 * with parent links is the tree; branches need no search.
 *
 * Beside P1 to P3 (`prefix-cache.ts`):
 * R1 `childTotal` of a page is how many children it has.
 * R2 In the order of use every page is before its parent, so its oldest page is always a leaf and evicting is taking
 *    the oldest. To keep that, a path is touched from its last page to its first, and a new page goes just before its
 *    parent.
 * R3 The map lists a page behind its parent.
 *
 * Every call costs O(pages named in it); `evict` O(pages taken); `insert` O(1), or O(depth) when the pages before the
 * new one are the oldest of all and have to be stepped over.
 */

interface CachedPage extends UseLink<CachedPage> {
  readonly name: string;
  readonly parent: CachedPage | undefined;
  readonly latents: PageLatents;
  childTotal: number;
}

export class RadixPrefixCache implements PrefixCache {
  readonly #budget: BlockBudget;
  readonly #pages = new Map<string, CachedPage>();
  readonly #order = new UseOrder<CachedPage>();
  #hits = 0;
  #misses = 0;
  #writes = 0;
  #evictions = 0;

  constructor(budget: BlockBudget) {
    this.#budget = budget;
    budget.reclaimFrom(this);
  }

  get pageTotal(): number {
    return this.#pages.size;
  }

  get evictable(): number {
    return this.#pages.size;
  }

  match(names: readonly string[]): number {
    const path = this.#path(names, names.length);
    for (const page of path.toReversed()) {
      this.#order.remove(page);
      this.#order.addNewest(page);
    }
    this.#hits += path.length;
    this.#misses += names.length - path.length;
    return path.length;
  }

  read(name: string): PageLatents | undefined {
    return this.#pages.get(name)?.latents;
  }

  insert(name: string, parentName: string | null, latents: PageLatents): boolean {
    this.#checkBlock(name, latents);
    const known = this.#pages.get(name);
    if (known !== undefined) {
      const kept = known.parent?.name ?? null;
      invariant(kept === parentName, `page ${name} is kept behind ${kept}, inserted behind ${parentName}`);
      return true;
    }
    const parent = parentName === null ? undefined : this.#pages.get(parentName);
    if (parentName !== null && parent === undefined) return false;
    if (this.#budget.free === 0 && !this.#evictOldest(parent)) return false;
    invariant(this.#budget.takeCached(), `no block for page ${name}, though one was made free`);
    const page: CachedPage = { name, parent, latents, childTotal: 0, older: undefined, newer: undefined };
    this.#pages.set(name, page);
    if (parent !== undefined) parent.childTotal++;
    if (parent === undefined) this.#order.addNewest(page);
    else this.#order.addOlderThan(parent, page);
    this.#writes++;
    return true;
  }

  evict(pages: number): number {
    let evicted = 0;
    while (evicted < pages && this.#evictOldest(undefined)) evicted++;
    return evicted;
  }

  stats(): TierStats {
    const { blockBytes, total } = this.#budget;
    return {
      pages: this.#pages.size,
      bytes: this.#pages.size * blockBytes,
      budgetBytes: total * blockBytes,
      hits: this.#hits,
      misses: this.#misses,
      writes: this.#writes,
      evictions: this.#evictions,
      corrupt: 0,
    };
  }

  checkIntegrity(): void {
    this.#budget.checkIntegrity();
    const { cached } = this.#budget;
    invariant(
      cached === this.#pages.size,
      `the budget counts ${cached} cached blocks, the cache ${this.#pages.size} pages`,
    );
    this.#checkTree();
    this.#checkOrder();
  }

  /** The pages of the first `limit` names, up to the first that is not cached. */
  #path(names: readonly string[], limit: number): readonly CachedPage[] {
    const path: CachedPage[] = [];
    for (const name of names.slice(0, limit)) {
      const page = this.#pages.get(name);
      if (page === undefined || page.parent !== path.at(-1)) break;
      path.push(page);
    }
    return path;
  }

  /** Takes out the page used longest ago, leaving `kept` and so all before it; false when there is none. */
  #evictOldest(kept: CachedPage | undefined): boolean {
    let page = this.#order.oldest;
    while (page !== undefined && (page === kept || page.childTotal > 0)) page = page.newer;
    if (page === undefined) return false;
    this.#order.remove(page);
    this.#pages.delete(page.name);
    if (page.parent !== undefined) page.parent.childTotal--;
    this.#budget.giveCached();
    this.#evictions++;
    return true;
  }

  /** A view would keep bytes alive that the budget does not count. */
  #checkBlock(name: string, latents: PageLatents): void {
    const { blockBytes } = this.#budget;
    const { byteLength, buffer } = latents;
    invariant(byteLength === blockBytes, `page ${name} has ${byteLength} bytes, a block ${blockBytes}`);
    invariant(
      buffer.byteLength === byteLength,
      `page ${name} is a view of ${buffer.byteLength} bytes, not its own array`,
    );
  }

  /** P1, R1, R3. */
  #checkTree(): void {
    const children = new Map<CachedPage, number>();
    const seen = new Set<CachedPage>();
    for (const page of this.#pages.values()) {
      const { parent } = page;
      invariant(
        parent === undefined || seen.has(parent),
        `page ${page.name} is kept, its parent ${parent?.name} is not`,
      );
      if (parent !== undefined) children.set(parent, (children.get(parent) ?? 0) + 1);
      seen.add(page);
    }
    for (const page of this.#pages.values()) {
      const childTotal = children.get(page) ?? 0;
      invariant(
        page.childTotal === childTotal,
        `page ${page.name} counts ${page.childTotal} children, it has ${childTotal}`,
      );
    }
  }

  /** R2. */
  #checkOrder(): void {
    const order = this.#order.list();
    invariant(order.length === this.#pages.size, `${order.length} pages in order of use, ${this.#pages.size} are kept`);
    const seen = new Set<CachedPage>();
    for (const page of order) {
      invariant(this.#pages.get(page.name) === page, `page ${page.name} in order of use is not kept`);
      invariant(page.parent === undefined || !seen.has(page.parent), `page ${page.name} is newer than its parent`);
      seen.add(page);
    }
  }
}
