import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BlockBudget, type BlockSource } from '../../../../src/engine/kv/block-budget.ts';

const bug = (text: string) =>
  expect.objectContaining({ code: 'bug.invariant', message: expect.stringContaining(text) });

/** A cache of `pages` that gives all it has when asked, and remembers what it was asked. */
function openSource(budget: BlockBudget, pages: number): BlockSource & { readonly asked: readonly number[] } {
  let left = pages;
  const asked: number[] = [];
  for (let page = 0; page < pages; page++) budget.takeCached();
  const source = {
    asked,
    get evictable() {
      return left;
    },
    evict(blocks: number) {
      asked.push(blocks);
      const evicted = Math.min(blocks, left);
      for (let page = 0; page < evicted; page++) budget.giveCached();
      left -= evicted;
      return evicted;
    },
  };
  budget.reclaimFrom(source);
  return source;
}

describe('BlockBudget', () => {
  it('counts whole blocks of a budget in bytes', () => {
    const shape = { layers: 4, latentWidth: 160 };
    expect(BlockBudget.ofBytes(10 * 655_360 - 1, shape)).toMatchObject({ total: 9, free: 9, blockBytes: 655_360 });
    expect(BlockBudget.ofBytes(655_359, shape).total).toBe(0);
  });

  it('takes until there is no room, and then changes nothing (B3)', () => {
    const budget = new BlockBudget(5, 1024);
    expect(budget.take('a', 3)).toBe(true);
    expect(budget.take('b', 3)).toBe(false);
    expect(budget).toMatchObject({ free: 2, held: 3, cached: 0, available: 2 });
    expect(budget.heldBy('b')).toBe(0);
    expect(budget.take('b', 2)).toBe(true);
    expect(budget.take('b', 0)).toBe(true);
    expect(budget.take('b', 1)).toBe(false);
    budget.checkIntegrity();
  });

  it('asks the cache for exactly what is short, and only when that is enough (B3)', () => {
    const budget = new BlockBudget(10, 1024);
    const source = openSource(budget, 6);
    expect(budget).toMatchObject({ free: 4, cached: 6, available: 10 });
    expect(budget.take('a', 11)).toBe(false);
    expect(budget.take('a', 4)).toBe(true);
    expect(source.asked).toEqual([]);
    expect(budget.take('a', 2)).toBe(true);
    expect(source.asked).toEqual([2]);
    expect(budget).toMatchObject({ free: 0, cached: 4, held: 6 });
    budget.checkIntegrity();
  });

  it('throws when the cache breaks its promise', () => {
    const budget = new BlockBudget(1, 1024);
    budget.takeCached();
    budget.reclaimFrom({ evictable: 1, evict: () => 0 });
    expect(() => budget.take('a', 1)).toThrow(bug('freed 0 blocks of 1'));
  });

  it('gives back by owner, and forgets an owner that holds nothing (B2)', () => {
    const budget = new BlockBudget(10, 1024);
    budget.take('a', 3);
    budget.take('a', 2);
    budget.take('b', 4);
    budget.give('a', 1);
    expect([budget.heldBy('a'), budget.heldBy('b'), budget.held, budget.free]).toEqual([4, 4, 8, 2]);
    expect(budget.giveAll('a')).toBe(4);
    expect(budget.giveAll('a')).toBe(0);
    expect(budget.giveAll('never seen')).toBe(0);
    expect([budget.held, budget.free]).toEqual([4, 6]);
    budget.checkIntegrity();
  });

  it('rejects giving back more than the owner holds', () => {
    const budget = new BlockBudget(10, 1024);
    budget.take('a', 3);
    budget.take('b', 3);
    expect(() => budget.give('a', 4)).toThrow(bug('a gives back 4 blocks, it holds 3'));
    expect(() => budget.give('c', 1)).toThrow(bug('c gives back 1 blocks, it holds 0'));
    expect(() => budget.giveCached()).toThrow(bug('none is cached'));
    budget.checkIntegrity();
  });

  it.each([-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY])('rejects %d blocks', (blocks) => {
    const budget = new BlockBudget(10, 1024);
    budget.take('a', 5);
    expect(() => budget.take('a', blocks)).toThrow(bug('not a whole number'));
    expect(() => budget.give('a', blocks)).toThrow(bug('gives back'));
    expect(() => new BlockBudget(blocks, 1024)).toThrow(bug('block total'));
    expect(budget.held).toBe(5);
    budget.checkIntegrity();
  });

  it('has one cache to reclaim from', () => {
    const budget = new BlockBudget(1, 1024);
    openSource(budget, 0);
    expect(() => openSource(budget, 0)).toThrow(bug('one cache'));
  });

  it('adds up after any commands (B1, B2)', () => {
    const owner = fc.constantFrom('a', 'b', 'c');
    const command = fc.record({ type: fc.constantFrom('take', 'give', 'giveAll'), owner, blocks: fc.nat(12) });
    fc.assert(
      fc.property(fc.nat(20), fc.nat(20), fc.array(command, { maxLength: 40 }), (total, cachedPages, commands) => {
        const budget = new BlockBudget(total, 16);
        const source = openSource(budget, Math.min(total, cachedPages));
        const held = new Map<string, number>();
        for (const { type, owner: name, blocks } of commands) {
          const before = held.get(name) ?? 0;
          held.set(name, before + apply(budget, type, name, blocks, before));
          budget.checkIntegrity();
          expect([budget.held, budget.cached]).toEqual([sumOf(held), source.evictable]);
          for (const [each, sum] of held) expect(budget.heldBy(each)).toBe(sum);
        }
      }),
    );
  });
});

const sumOf = (held: ReadonlyMap<string, number>): number =>
  [...held.values()].reduce((sum, blocks) => sum + blocks, 0);

/** Runs one command and gives by how much the owner's share must have changed. */
function apply(budget: BlockBudget, type: string, name: string, blocks: number, before: number): number {
  if (type === 'take') {
    const fits = budget.held + blocks <= budget.total;
    expect(budget.take(name, blocks)).toBe(fits);
    return fits ? blocks : 0;
  }
  if (type === 'giveAll') {
    expect(budget.giveAll(name)).toBe(before);
    return -before;
  }
  const back = Math.min(blocks, before);
  budget.give(name, back);
  return -back;
}
