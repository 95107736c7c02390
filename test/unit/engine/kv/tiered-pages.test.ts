import { describe, expect, it } from 'vitest';
import { openMemoryTier } from '../../../../src/engine/kv/memory-tier.ts';
import { TierChain } from '../../../../src/engine/kv/tiered-pages.ts';
import type { PageTier } from '../../../../src/engine/ports.ts';
import { hexOf, openGate, tinyPage } from './page-samples.ts';

const pageTotal = 4;
const openTier = (): PageTier => openMemoryTier(pageTotal * 1024);

describe('TierChain', () => {
  it('saves to the first tier only (T1)', async () => {
    const [near, far] = [openTier(), openTier()];
    const chain = new TierChain([near, far]);
    await chain.save(hexOf(1), tinyPage(1));
    expect([near.has(hexOf(1)), far.has(hexOf(1))]).toEqual([true, false]);
  });

  it('loads from the first tier that gives the page, and copies it to all before (T2)', async () => {
    const [near, middle, far, last] = [openTier(), openTier(), openTier(), openTier()];
    const chain = new TierChain([near, middle, far, last]);
    await far.save(hexOf(1), tinyPage(1));
    await last.save(hexOf(1), tinyPage(1));
    expect(chain.has(hexOf(1))).toBe(true);
    expect(await chain.load(hexOf(1))).toEqual(tinyPage(1));
    expect(last.stats().hits).toBe(0);
    expect(await near.load(hexOf(1))).toEqual(tinyPage(1));
    expect(await middle.load(hexOf(1))).toEqual(tinyPage(1));
    expect(await chain.load(hexOf(1))).toEqual(tinyPage(1));
    expect(far.stats().hits).toBe(1);
    expect(chain.stats()).toMatchObject({ hits: 2, misses: 0, writes: 4, pages: 4, budgetBytes: 4 * pageTotal * 1024 });
  });

  it('asks the next tier when one that has the page cannot give it', async () => {
    const lying: PageTier = { ...emptyTier(), has: () => true };
    const far = openTier();
    await far.save(hexOf(1), tinyPage(1));
    const chain = new TierChain([lying, far]);
    expect(await chain.load(hexOf(1))).toEqual(tinyPage(1));
    expect(chain.has(hexOf(2))).toBe(true);
    expect(await chain.load(hexOf(2))).toBeUndefined();
    expect(chain.stats()).toMatchObject({ hits: 1, misses: 1 });
  });

  it('does not wait for a copy, but closes after it (T2)', async () => {
    const gate = openGate();
    const events: string[] = [];
    const slow: PageTier = {
      ...emptyTier(),
      save: async () => {
        await gate.promise;
        events.push('copied');
      },
      close: async () => {
        events.push('closed');
      },
    };
    const far = openTier();
    await far.save(hexOf(1), tinyPage(1));
    const chain = new TierChain([slow, far]);
    expect(await chain.load(hexOf(1))).toEqual(tinyPage(1));
    const closing = chain.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([]);
    gate.resolve();
    await closing;
    expect(events).toEqual(['copied', 'closed']);
  });

  it('keeps nothing when it is empty (T3)', async () => {
    const chain = new TierChain([]);
    await chain.save(hexOf(1), tinyPage(1));
    expect(chain.has(hexOf(1))).toBe(false);
    expect(await chain.load(hexOf(1))).toBeUndefined();
    expect(chain.stats()).toMatchObject({ pages: 0, budgetBytes: 0, misses: 1 });
    await chain.close();
  });
});

describe('memory tier', () => {
  it.each([-1, 0.5, Number.NaN])('rejects a budget of %d bytes', (budgetBytes) => {
    expect(() => openMemoryTier(budgetBytes)).toThrow(expect.objectContaining({ code: 'input.config' }));
  });

  it('gives up a page larger than its budget, and drops nothing for it', async () => {
    const tier = openMemoryTier(2048);
    await tier.save(hexOf(1), tinyPage(1));
    await tier.save(hexOf(2), new Float32Array(513));
    expect([tier.has(hexOf(1)), tier.has(hexOf(2))]).toEqual([true, false]);
  });
});

function emptyTier(): PageTier {
  const tier = openMemoryTier(0);
  return {
    has: (name) => tier.has(name),
    load: (name) => tier.load(name),
    save: (name, latents) => tier.save(name, latents),
    stats: () => tier.stats(),
    close: () => tier.close(),
  };
}
