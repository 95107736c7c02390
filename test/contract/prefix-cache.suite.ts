import { beforeEach, describe, expect, it } from 'vitest';
import { BlockBudget } from '../../src/engine/kv/block-budget.ts';
import type { PrefixCache } from '../../src/engine/kv/prefix-cache.ts';

export const suiteBlockBytes = 16;

const page = (value: number): Float32Array => new Float32Array(suiteBlockBytes / 4).fill(value);

/** What every cache keeps, however much it keeps: one that keeps nothing is a cache. */
export function prefixCacheSuite(name: string, open: (budget: BlockBudget) => PrefixCache): void {
  describe(`PrefixCache: ${name}`, () => {
    const names = ['a', 'b', 'c', 'd'];
    let budget: BlockBudget;
    let cache: PrefixCache;

    /** Inserts in order; how many the cache kept. */
    const fill = (pages: readonly string[]): number =>
      pages.filter((each, index) => cache.insert(each, pages[index - 1] ?? null, page(index))).length;

    beforeEach(() => {
      budget = new BlockBudget(3, suiteBlockBytes);
      cache = open(budget);
    });

    it('is empty at first', () => {
      expect([cache.match(names), cache.pageTotal, cache.evictable]).toEqual([0, 0, 0]);
      expect(cache.read('a')).toBeUndefined();
      expect(cache.evict(10)).toBe(0);
      expect(cache.stats()).toMatchObject({ pages: 0, bytes: 0, hits: 0, misses: 4, evictions: 0, corrupt: 0 });
      cache.checkIntegrity();
    });

    it('finds what an insert said it kept, in front of what it did not', () => {
      const kept = fill(names);
      expect(cache.match(names)).toBe(kept);
      expect(cache.pageTotal).toBe(kept);
      for (const [index, each] of names.entries()) {
        const want = index < kept ? page(index) : undefined;
        expect(cache.read(each)).toEqual(want);
      }
      expect(cache.stats()).toMatchObject({ pages: kept, bytes: kept * suiteBlockBytes, hits: kept, misses: 4 - kept });
      cache.checkIntegrity();
    });

    it('never finds a page without the page before it (P1)', () => {
      expect(cache.insert('b', 'a', page(1))).toBe(false);
      expect(cache.read('b')).toBeUndefined();
      fill(['a', 'b']);
      expect(cache.match(['b', 'a'])).toBe(0);
      expect(cache.match(['x', 'b'])).toBe(0);
      cache.checkIntegrity();
    });

    it('gives way to the working memory of the engine (P3)', () => {
      const kept = fill(names);
      expect(budget.cached).toBe(kept);
      expect(budget.free).toBe(3 - kept);
      expect(cache.evictable).toBe(kept);
      expect(budget.take('run', 4)).toBe(false);
      expect(cache.pageTotal).toBe(kept);
      expect(budget.take('run', 3)).toBe(true);
      expect(cache.pageTotal).toBe(0);
      expect(cache.insert('a', null, page(0))).toBe(false);
      cache.checkIntegrity();
    });
  });
}
