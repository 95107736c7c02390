import { describe, expect, it } from 'vitest';
import { BlockBudget } from '../../../../src/engine/kv/block-budget.ts';
import { openMemoryTier } from '../../../../src/engine/kv/memory-tier.ts';
import type { RoundedShape } from '../../../../src/engine/kv/page-shape.ts';
import { PageSource } from '../../../../src/engine/kv/page-source.ts';
import { PrefixWindows } from '../../../../src/engine/kv/prefix-window.ts';
import { RadixPrefixCache } from '../../../../src/engine/kv/radix-prefix-cache.ts';
import { blockRows, type PageTier } from '../../../../src/engine/ports.ts';

const shape: RoundedShape = { layers: 1, latentWidth: 2, rounding: null };
const pageFloats = blockRows * 2;

/** Seven eighths as much memory as in float32; tells the first value of each block. */
const rounding: RoundedShape['rounding'] = {
  blockBytes: blockRows * 7,
  round: async (prefix, rows) =>
    prefix.map((layer) => ({
      keys: new Int8Array(),
      keySteps: Float32Array.from({ length: rows / blockRows }, (_, block) => layer[block * pageFloats] ?? Number.NaN),
      values: new Int8Array(),
      valueSteps: new Float32Array(),
    })),
};

/** Says that it has every page. */
function promisingTier(load: PageTier['load']): PageTier {
  return {
    has: () => true,
    load,
    save: async () => {},
    stats: () => ({ pages: 0, bytes: 0, budgetBytes: 0, hits: 0, misses: 0, writes: 0, evictions: 0, corrupt: 0 }),
    close: async () => {},
  };
}

/** A page whose every value is its number. */
const pageOf = (value: number): Float32Array => new Float32Array(pageFloats).fill(value);

function setUp(blocks: number, tier: PageTier | null = null, inInt8: RoundedShape['rounding'] = null) {
  const budget = new BlockBudget(blocks, pageFloats * 4);
  const cache = new RadixPrefixCache(budget);
  let loads = 0;
  const windows = new PrefixWindows({ ...shape, rounding: inInt8 }, budget, new PageSource(cache, tier), () => {
    loads++;
  });
  const insert = (names: readonly string[]): void => {
    for (const [index, name] of names.entries()) cache.insert(name, names[index - 1] ?? null, pageOf(index + 1));
  };
  const acquire = (names: readonly string[]) => {
    const window = windows.acquire(names, new Int32Array(names.length * blockRows));
    if (window === null) throw new Error('no room');
    return window;
  };
  return { windows, cache, budget, insert, acquire, loads: () => loads };
}

const document = ['a1', 'a2', 'a3'];

/** What stands in the first row of each block. */
const marksOf = ({ buffer }: { buffer: { view(rows: number): readonly Float32Array[] } }): number[] => {
  const rows = buffer.view(3 * blockRows)[0] as Float32Array;
  return [0, 1, 2].map((block) => rows[block * pageFloats] as number);
};

describe('PrefixWindows', () => {
  it('makes room for a window by evicting what is not in it, though that was used later', () => {
    const { insert, acquire, cache } = setUp(8);
    insert(document);
    insert(['b1', 'b2', 'b3']);
    const window = acquire(document);
    expect([window.cachedRows, window.isReady]).toEqual([768, true]);
    expect(marksOf(window)).toEqual([1, 2, 3]);
    expect(cache.pageTotal).toBe(5);
  });

  it('reads pages of a tier behind one that is missing there, once that was computed', async () => {
    const tier = openMemoryTier(1 << 20);
    for (const [name, value] of [['a2', 2] as const, ['a3', 3] as const]) await tier.save(name, pageOf(value));
    const { windows, acquire, loads } = setUp(8, tier);
    const window = acquire(document);
    expect([window.isLoading, window.readyRows]).toEqual([false, 0]);
    window.buffer.store(0, blockRows, pageOf(1));
    windows.advance(window, blockRows);
    expect(window.isLoading).toBe(true);
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    expect([loads(), window.isLoading, window.isReady]).toEqual([1, false, true]);
    expect(marksOf(window)).toEqual([1, 2, 3]);
    // of whoever opened it, what was there at first is all that counts
    expect(window.cachedRows).toBe(0);
  });

  it('computes what a tier promises and does not give', async () => {
    const { windows, acquire } = setUp(
      8,
      promisingTier(async () => undefined),
    );
    const window = acquire(document);
    for (let rows = 0; rows < 768; rows += blockRows) {
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
      expect([window.isLoading, window.readyRows]).toEqual([false, rows]);
      windows.advance(window, rows + blockRows);
    }
    expect([window.isLoading, window.isReady]).toEqual([false, true]);
  });

  it('gives up a window that nobody waits for, pages on their way or not', async () => {
    let arrive = (): void => {};
    const tier = promisingTier(
      () =>
        new Promise((resolve) => {
          arrive = () => resolve(pageOf(1));
        }),
    );
    const { windows, acquire, budget, cache } = setUp(4, tier);
    const window = acquire(document);
    windows.release(window);
    expect(windows.available).toBe(4);
    const other = acquire(['b1', 'b2']);
    expect(budget.held).toBe(2);
    windows.checkIntegrity(new Map([[other, 1]]));
    arrive();
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
    expect([window.readyRows, cache.pageTotal]).toEqual([0, 0]);
  });

  it('holds memory for its rows in INT8 too where they are read so, and makes them once', async () => {
    const { windows, insert, acquire, budget } = setUp(9, null, rounding);
    insert(document);
    expect(windows.blocksFor(document)).toBe(6);
    const window = acquire(document);
    expect([window.blocks, budget.heldBy('prefix windows')]).toEqual([6, 6]);
    windows.checkIntegrity(new Map([[window, 1]]));
    const rounded = await window.rounded();
    expect(rounded?.map(({ keySteps }) => [...keySteps])).toEqual([[1, 2, 3]]);
    expect(await window.rounded()).toBe(rounded);
    windows.release(window);
    // what is idle makes way, for a window of as much
    expect(windows.available).toBe(9);
    windows.dropIdle();
    expect(budget.heldBy('prefix windows')).toBe(0);
    expect(windows.acquire(['b1', 'b2', 'b3', 'b4', 'b5'], new Int32Array(5 * blockRows))).toBe(null);
  });

  it('has nothing in INT8 where there are no rows, or nobody reads them so', async () => {
    const rounded = setUp(9, null, rounding);
    expect(await rounded.acquire([]).rounded()).toBe(null);
    const other = setUp(9);
    other.insert(document);
    expect(await other.acquire(document).rounded()).toBe(null);
  });

  it('takes over the memory of a window that makes way, and nothing that stood there', () => {
    const { windows, acquire } = setUp(5);
    const first = acquire(document);
    for (let row = 0; row < 768; row += blockRows) first.buffer.store(row, blockRows, pageOf(7));
    const memory = first.buffer.view(768)[0]?.buffer;
    windows.release(first);
    const other = acquire(['b1', 'b2', 'b3']);
    expect(other.buffer.view(768)[0]?.buffer).toBe(memory);
    for (const layer of other.buffer.view(768)) expect(layer.every((value) => value === 0)).toBe(true);
    expect(() => first.buffer.view(256)).toThrow('rows to 256 of a buffer of 0');
  });
});
