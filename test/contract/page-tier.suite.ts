import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type PageShape, pageFloats } from '../../src/engine/kv/page-shape.ts';
import type { PageTier } from '../../src/engine/ports.ts';

export const suiteShape: PageShape = { layers: 2, latentWidth: 3 };

/** A name as pages have them. */
export const nameOf = (label: string | number): string => createHash('sha256').update(`page ${label}`).digest('hex');

/** A page told from every other by its values. */
export const pageOf = (label: number): Float32Array =>
  Float32Array.from({ length: pageFloats(suiteShape) }, (_, index) => label + index / 4096);

/** Bits, so that NaN and -0 count. */
export const bitsOf = (latents: Float32Array | undefined): string | undefined =>
  latents === undefined
    ? undefined
    : Buffer.from(latents.buffer, latents.byteOffset, latents.byteLength).toString('hex');

export interface OpenedPageTier {
  readonly tier: PageTier;
  readonly remove: () => Promise<void>;
}

/** What every tier keeps. `open` gives one with room for `pages` pages of `suiteShape`, and no more. */
export function pageTierSuite(name: string, open: (pages: number) => Promise<OpenedPageTier>): void {
  describe(`PageTier: ${name}`, () => {
    let opened: OpenedPageTier;
    let tier: PageTier;
    const keptOf = (labels: readonly number[]): readonly number[] => labels.filter((label) => tier.has(nameOf(label)));

    beforeEach(async () => {
      opened = await open(4);
      tier = opened.tier;
    });
    afterEach(async () => {
      await tier.close();
      await opened.remove();
    });

    it('is empty at first', async () => {
      expect(tier.has(nameOf(1))).toBe(false);
      expect(await tier.load(nameOf(1))).toBeUndefined();
      expect(tier.stats()).toMatchObject({
        pages: 0,
        bytes: 0,
        hits: 0,
        misses: 1,
        writes: 0,
        evictions: 0,
        corrupt: 0,
      });
    });

    it('gives back every bit of what was saved', async () => {
      const page = pageOf(1);
      const odd = Uint32Array.of(0x8000_0000, 0x7fc0_0001, 0xff80_0000, 0x7f80_0001, 0x0000_0001, 0xffff_ffff);
      page.set(new Float32Array(odd.buffer));
      const want = bitsOf(page);
      await tier.save(nameOf(1), page);
      expect(tier.has(nameOf(1))).toBe(true);
      expect(bitsOf(await tier.load(nameOf(1)))).toBe(want);
      expect(tier.stats()).toMatchObject({ pages: 1, hits: 1, misses: 0, writes: 1 });
    });

    it('takes a view of a larger array', async () => {
      const pages = new Float32Array(3 * pageFloats(suiteShape));
      const view = pages.subarray(pageFloats(suiteShape), 2 * pageFloats(suiteShape));
      view.set(pageOf(7));
      await tier.save(nameOf(7), view);
      expect(bitsOf(await tier.load(nameOf(7)))).toBe(bitsOf(pageOf(7)));
    });

    it('shares no memory with its callers', async () => {
      const page = pageOf(1);
      await tier.save(nameOf(1), page);
      page.fill(0);
      const first = await tier.load(nameOf(1));
      expect(bitsOf(first)).toBe(bitsOf(pageOf(1)));
      expect(first?.buffer.byteLength).toBe(pageFloats(suiteShape) * 4);
      first?.fill(0);
      expect(bitsOf(await tier.load(nameOf(1)))).toBe(bitsOf(pageOf(1)));
    });

    it('keeps the first of two pages of one name', async () => {
      await Promise.all([tier.save(nameOf(1), pageOf(1)), tier.save(nameOf(1), pageOf(2))]);
      await tier.save(nameOf(1), pageOf(3));
      expect(bitsOf(await tier.load(nameOf(1)))).toBe(bitsOf(pageOf(1)));
      expect(tier.stats()).toMatchObject({ pages: 1, writes: 1 });
    });

    it('drops the page used longest ago when it is full', async () => {
      for (const label of [1, 2, 3, 4]) await tier.save(nameOf(label), pageOf(label));
      expect(keptOf([1, 2, 3, 4])).toEqual([1, 2, 3, 4]);
      await tier.load(nameOf(1));
      await tier.save(nameOf(5), pageOf(5));
      expect(keptOf([1, 2, 3, 4, 5])).toEqual([1, 3, 4, 5]);
      await tier.save(nameOf(6), pageOf(6));
      expect(keptOf([1, 2, 3, 4, 5, 6])).toEqual([1, 4, 5, 6]);
      expect(await tier.load(nameOf(2))).toBeUndefined();
      expect(tier.stats()).toMatchObject({ pages: 4, writes: 6, evictions: 2, hits: 1, misses: 1 });
    });

    it('does not count a look as a use', async () => {
      for (const label of [1, 2, 3, 4]) await tier.save(nameOf(label), pageOf(label));
      tier.has(nameOf(1));
      await tier.save(nameOf(5), pageOf(5));
      expect(keptOf([1, 2, 3, 4, 5])).toEqual([2, 3, 4, 5]);
      expect(tier.stats()).toMatchObject({ hits: 0, misses: 0 });
    });

    it('stays within its budget under saves and loads at the same time', async () => {
      const labels = Array.from({ length: 24 }, (_, index) => index);
      await Promise.all(
        labels.map(async (label) => {
          await tier.save(nameOf(label % 12), pageOf(label % 12));
          const { bytes, budgetBytes } = tier.stats();
          expect(bytes).toBeLessThanOrEqual(budgetBytes);
          const found = await tier.load(nameOf(label % 12));
          expect([undefined, bitsOf(pageOf(label % 12))]).toContain(bitsOf(found));
        }),
      );
      const { pages, hits, misses } = tier.stats();
      expect(pages).toBe(4);
      expect(hits + misses).toBe(24);
      expect(keptOf(labels.slice(0, 12))).toHaveLength(4);
    });

    it('closes after what was begun, and keeps and gives nothing from then on', async () => {
      const saving = tier.save(nameOf(1), pageOf(1));
      await tier.close();
      await saving;
      await tier.save(nameOf(2), pageOf(2));
      expect(tier.has(nameOf(1)) || tier.has(nameOf(2))).toBe(false);
      expect(await tier.load(nameOf(1))).toBeUndefined();
      expect(tier.stats().writes).toBe(1);
    });
  });
}
