import { describe, expect, it } from 'vitest';
import { BlockBudget } from '../../../../src/engine/kv/block-budget.ts';
import { RadixPrefixCache } from '../../../../src/engine/kv/radix-prefix-cache.ts';

const blockBytes = 16;
const page = (value = 0): Float32Array => new Float32Array(blockBytes / 4).fill(value);
const bug = (text: string) =>
  expect.objectContaining({ code: 'bug.invariant', message: expect.stringContaining(text) });

function openCache(total: number): { readonly budget: BlockBudget; readonly cache: RadixPrefixCache } {
  const budget = new BlockBudget(total, blockBytes);
  return { budget, cache: new RadixPrefixCache(budget) };
}

/** Inserts a path page by page; all must be kept. */
function fill(cache: RadixPrefixCache, names: readonly string[]): void {
  for (const [index, name] of names.entries()) {
    expect(cache.insert(name, names[index - 1] ?? null, page(index)), name).toBe(true);
  }
}

const kept = (cache: RadixPrefixCache, names: readonly string[]): readonly string[] =>
  names.filter((name) => cache.read(name) !== undefined);

describe('RadixPrefixCache', () => {
  it('branches where texts part, and finds the longest prefix of each', () => {
    const { cache } = openCache(10);
    fill(cache, ['doc', 'doc/2', 'doc/2/q1']);
    fill(cache, ['doc', 'doc/2', 'doc/2/q2', 'doc/2/q2/b']);
    expect(cache.pageTotal).toBe(5);
    expect(cache.match(['doc', 'doc/2', 'doc/2/q2', 'other'])).toBe(3);
    expect(cache.match(['doc', 'doc/2', 'doc/2/q1', 'doc/2/q2/b'])).toBe(3);
    expect(cache.stats()).toMatchObject({ hits: 6, misses: 2, writes: 5, evictions: 0 });
    cache.checkIntegrity();
  });

  it('hands out the array it was given, and keeps the first of two', () => {
    const { cache, budget } = openCache(10);
    const first = page(1);
    expect(cache.insert('a', null, first)).toBe(true);
    expect(cache.insert('a', null, page(2))).toBe(true);
    expect(cache.read('a')).toBe(first);
    expect(budget.cached).toBe(1);
    expect(cache.stats().writes).toBe(1);
    cache.checkIntegrity();
  });

  it('rejects a page kept behind another parent', () => {
    const { cache } = openCache(10);
    fill(cache, ['a', 'b']);
    expect(() => cache.insert('b', null, page())).toThrow(bug('page b is kept behind a, inserted behind null'));
    cache.checkIntegrity();
  });

  it('rejects arrays that are not one block of their own', () => {
    const { cache, budget } = openCache(10);
    expect(() => cache.insert('a', null, new Float32Array(3))).toThrow(bug('12 bytes, a block 16'));
    expect(() => cache.insert('a', null, new Float32Array(8).subarray(0, 4))).toThrow(bug('a view of 32 bytes'));
    expect(budget.cached).toBe(0);
    cache.checkIntegrity();
  });

  it('evicts the leaf used longest ago, children before parents (P2)', () => {
    const { cache } = openCache(6);
    fill(cache, ['a', 'a1', 'a2']);
    fill(cache, ['b', 'b1', 'b2']);
    cache.match(['a', 'a1']);
    const order: string[] = [];
    let left = ['a', 'a1', 'a2', 'b', 'b1', 'b2'];
    while (cache.evict(1) === 1) {
      cache.checkIntegrity();
      const now = kept(cache, left);
      order.push(...left.filter((name) => !now.includes(name)));
      left = [...now];
    }
    expect(order).toEqual(['a2', 'b2', 'b1', 'b', 'a1', 'a']);
  });

  it('counts reading and a duplicate insert as no use', () => {
    const { cache } = openCache(2);
    fill(cache, ['a']);
    fill(cache, ['b']);
    cache.read('a');
    cache.insert('a', null, page());
    expect(cache.stats().hits).toBe(0);
    fill(cache, ['c']);
    expect(kept(cache, ['a', 'b', 'c'])).toEqual(['b', 'c']);
  });

  it('makes room for a page without evicting the pages before it', () => {
    const { cache } = openCache(3);
    fill(cache, ['a', 'a1']);
    fill(cache, ['b']);
    // the oldest pages are a1 and a, which the new page needs
    expect(cache.insert('a2', 'a1', page())).toBe(true);
    expect(kept(cache, ['a', 'a1', 'a2', 'b'])).toEqual(['a', 'a1', 'a2']);
    cache.checkIntegrity();
    expect(cache.insert('a3', 'a2', page())).toBe(false);
    expect(kept(cache, ['a', 'a1', 'a2'])).toEqual(['a', 'a1', 'a2']);
    cache.checkIntegrity();
  });

  it('finds no room when working memory holds it all, and changes nothing', () => {
    const { cache, budget } = openCache(3);
    fill(cache, ['a']);
    expect(budget.take('run', 2)).toBe(true);
    expect(cache.insert('a1', 'a', page())).toBe(false);
    expect(budget).toMatchObject({ free: 0, cached: 1, held: 2, available: 1 });
    expect(budget.take('run', 1)).toBe(true);
    expect(cache.insert('b', null, page())).toBe(false);
    expect(budget).toMatchObject({ free: 0, cached: 0, held: 3, available: 0 });
    cache.checkIntegrity();
  });

  it('finds a ledger that disagrees (P3)', () => {
    const { cache, budget } = openCache(4);
    fill(cache, ['a']);
    budget.takeCached();
    expect(() => cache.checkIntegrity()).toThrow(bug('the budget counts 2 cached blocks, the cache 1 pages'));
  });

  it('takes 20,000 pages of one text and gives them back, each in constant time', () => {
    const total = 20_000;
    const { cache } = openCache(total);
    const names = Array.from({ length: total }, (_, index) => `p${index}`);
    fill(cache, names);
    expect(cache.match(names)).toBe(total);
    expect(cache.evict(total)).toBe(total);
    cache.checkIntegrity();
  });
});
