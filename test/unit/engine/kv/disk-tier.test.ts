import { mkdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type DiskTier, type DiskTierOptions, openDiskTier } from '../../../../src/engine/kv/disk-tier.ts';
import { temporaryPath } from '../../../../src/engine/kv/page-folder.ts';
import { RecordingLogger } from '../../../support/recording-logger.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';
import { bytesBelow, filesBelow, hexOf, tinyFileBytes, tinyPage, tinyShape } from './page-samples.ts';

const digest = hexOf('digest');
const bug = (text: string) =>
  expect.objectContaining({ code: 'bug.invariant', message: expect.stringContaining(text) });
const badConfig = (text: string) =>
  expect.objectContaining({ code: 'input.config', message: expect.stringContaining(text) });

describe('disk tier', () => {
  let folder = '';
  let removeFolder = async (): Promise<void> => {};
  const opened: DiskTier[] = [];

  const openTier = async (pages = 8, options: Partial<DiskTierOptions> = {}): Promise<DiskTier> => {
    const tier = await openDiskTier({ folder, digest, ...tinyShape, budgetBytes: pages * tinyFileBytes, ...options });
    opened.push(tier);
    return tier;
  };
  const pathOf = (label: string | number, engine = digest): string =>
    join(folder, engine, hexOf(label).slice(0, 2), `${hexOf(label)}.safetensors`);
  const save = (tier: DiskTier, label: number): Promise<void> => tier.save(hexOf(label), tinyPage(label));
  const load = (tier: DiskTier, label: number): Promise<Float32Array | undefined> => tier.load(hexOf(label));
  const keptOf = (tier: DiskTier, labels: readonly number[]): readonly number[] =>
    labels.filter((label) => tier.has(hexOf(label)));
  /** Makes a page's file look used at a time long ago; a smaller number is longer ago. */
  const age = (label: string | number, seconds: number, engine = digest): Promise<void> =>
    utimes(pathOf(label, engine), 1_000_000 + seconds, 1_000_000 + seconds);
  /** Puts a file where the folder of a page's file belongs, so that no call on that path can succeed. */
  const blockFolderOf = async (label: number): Promise<void> => {
    await rm(dirname(pathOf(label)), { recursive: true, force: true });
    await mkdir(join(folder, digest), { recursive: true });
    await writeFile(dirname(pathOf(label)), '');
  };

  beforeEach(async () => {
    const temporary = await openTemporaryFolder('disk-tier');
    folder = join(temporary.path, 'pages');
    removeFolder = temporary.remove;
  });
  afterEach(async () => {
    vi.restoreAllMocks();
    for (const tier of opened.splice(0)) await tier.close();
    await removeFolder();
  });

  describe('its folder', () => {
    it('holds a page at <digest>/<2 hex>/<name>.safetensors, and no temporary file', async () => {
      const tier = await openTier();
      await save(tier, 1);
      expect(await filesBelow(folder)).toEqual([pathOf(1).slice(folder.length + 1)]);
      expect((await readFile(pathOf(1))).byteLength).toBe(tinyFileBytes);
    });

    it('is found as it was left', async () => {
      const before = await openTier();
      await save(before, 1);
      await save(before, 2);
      await before.close();
      const tier = await openTier();
      expect(tier.stats()).toMatchObject({ pages: 2, bytes: 2 * tinyFileBytes, writes: 0 });
      expect(await load(tier, 2)).toEqual(tinyPage(2));
    });

    it('keeps the order of use across processes (K3)', async () => {
      const before = await openTier();
      for (const label of [1, 2, 3]) await save(before, label);
      for (const [index, label] of [2, 3, 1].entries()) await age(label, index);
      await load(before, 2);
      await before.close();
      const tier = await openTier(3);
      await save(tier, 4);
      expect(keptOf(tier, [1, 2, 3, 4])).toEqual([1, 2, 4]);
      await save(tier, 5);
      expect(keptOf(tier, [1, 2, 3, 4, 5])).toEqual([2, 4, 5]);
    });

    it('keeps the order of uses within one millisecond (K3)', async () => {
      // ahead of the file system's clock, which is too coarse to tell these uses apart
      const nowMs = Date.now() + 60_000;
      vi.spyOn(Date, 'now').mockReturnValue(nowMs);
      const before = await openTier();
      const order = [4, 1, 6, 3, 0, 5, 2, 7];
      for (let label = 0; label < 8; label++) await save(before, label);
      expect((await stat(pathOf(0))).mtimeMs).toBeGreaterThan(nowMs - 1);
      for (const label of order) await load(before, label);
      await before.close();
      const tier = await openTier();
      for (const [index, label] of order.entries()) {
        expect(tier.has(hexOf(label))).toBe(true);
        await save(tier, 100 + index);
        expect(tier.has(hexOf(label)), `page ${label}`).toBe(false);
      }
    });

    it('is brought within a smaller budget at once (K3)', async () => {
      const before = await openTier();
      for (const label of [1, 2, 3, 4, 5]) await save(before, label);
      const tier = await openTier(2);
      expect(await bytesBelow(folder)).toBe(2 * tinyFileBytes);
      expect(keptOf(tier, [1, 2, 3, 4, 5])).toEqual([4, 5]);
      expect(tier.stats()).toMatchObject({ pages: 2, bytes: 2 * tinyFileBytes, evictions: 3 });
    });

    it('is listed again only after a quarter of the budget was written', async () => {
      const tier = await openTier(16);
      for (let label = 0; label < 5; label++) await save(tier, label);
      await rm(pathOf(0));
      await save(tier, 5);
      expect(tier.stats().pages).toBe(5);
      await rm(pathOf(1));
      for (let label = 6; label < 10; label++) await save(tier, label);
      expect(tier.stats().pages).toBe(9);
      await save(tier, 10);
      expect(tier.stats().pages).toBe(9);
      expect(await bytesBelow(folder)).toBe(9 * tinyFileBytes);
    });

    it('gives up pages of other engines first, the oldest first, and counts them against the budget (K3)', async () => {
      const engines = [hexOf('older engine'), hexOf('newer engine')];
      for (const [index, engine] of engines.entries()) {
        const other = await openTier(8, { digest: engine });
        await save(other, 1);
        await save(other, 2);
        await age(1, index, engine);
        await age(2, 10 + index, engine);
      }
      const tier = await openTier(5);
      expect(tier.stats()).toMatchObject({ pages: 0, bytes: 4 * tinyFileBytes });
      await save(tier, 1);
      await save(tier, 2);
      const engineFiles = async (): Promise<readonly string[]> =>
        (await filesBelow(folder))
          .filter((file) => !file.startsWith(digest))
          .map((file) => join(folder, file))
          .sort();
      const [older = '', newer = ''] = engines;
      expect(await engineFiles()).toEqual([pathOf(1, newer), pathOf(2, older), pathOf(2, newer)].sort());
      await save(tier, 3);
      await save(tier, 4);
      await save(tier, 5);
      expect(await engineFiles()).toEqual([]);
      await save(tier, 6);
      expect(keptOf(tier, [1, 2, 3, 4, 5, 6])).toEqual([2, 3, 4, 5, 6]);
      expect(tier.stats()).toMatchObject({ pages: 5, bytes: 5 * tinyFileBytes, evictions: 5 });
    });

    it('is freed of what dead processes left half written, and of nothing else', async () => {
      await save(await openTier(), 1);
      const token = 'f'.repeat(16);
      const place = dirname(pathOf(1));
      // no system gives pids so high; a container gives every engine the same one
      const dead = [`${hexOf(7)}.999999999-${token}-1.tmp`, `${hexOf(7)}.${process.pid}-${token}-2.tmp`];
      const kept = [`${hexOf(7)}.${process.ppid}-${token}-1.tmp`, 'notes.txt', `${hexOf(7)}.tmp`, 'abc.safetensors'];
      const ours = temporaryPath(folder, digest, hexOf(1)).slice(place.length + 1);
      kept.push(ours);
      for (const file of [...dead, ...kept]) await writeFile(join(place, file), 'half');
      await writeFile(join(folder, 'README'), 'x');
      const tier = await openTier();
      expect(tier.stats()).toMatchObject({ pages: 1, bytes: tinyFileBytes });
      const left = (await filesBelow(folder)).map((file) => join(folder, file));
      expect(left).toEqual([pathOf(1), join(folder, 'README'), ...kept.map((file) => join(place, file))].sort());
    });

    it('is freed of own pages of a wrong size (K1)', async () => {
      await save(await openTier(), 1);
      await truncate(pathOf(1), 100);
      const tier = await openTier();
      expect(tier.stats()).toMatchObject({ pages: 0, bytes: 0, corrupt: 1 });
      expect(await filesBelow(folder)).toEqual([]);
    });

    it('is refused when it is none', async () => {
      await writeFile(folder, 'a file');
      await expect(openTier()).rejects.toThrow(badConfig(`cannot use the folder for pages ${folder}`));
    });
  });

  describe('options and arguments', () => {
    it.each([tinyFileBytes - 1, 0, -1, 0.5, Number.NaN])('rejects a budget of %d bytes', async (budgetBytes) => {
      await expect(openTier(1, { budgetBytes })).rejects.toThrow(
        badConfig(`${budgetBytes} bytes, one page takes ${tinyFileBytes}`),
      );
    });

    it('rejects a digest that is no sha256', async () => {
      await expect(openTier(1, { digest: '../..' })).rejects.toThrow(bug('engine digest ../..'));
    });

    it.each(['../../../etc/passwd', '', 'ab', 'A'.repeat(64), `${hexOf(1)}/..`])(
      'finds no page named %j',
      async (name) => {
        const tier = await openTier();
        expect(tier.has(name)).toBe(false);
        expect(await tier.load(name)).toBeUndefined();
        await expect(tier.save(name, tinyPage(1))).rejects.toThrow(bug('is not a lower-case hex sha256'));
        expect(await filesBelow(folder)).toEqual([]);
      },
    );

    it('rejects latents of another shape', async () => {
      const tier = await openTier();
      await expect(tier.save(hexOf(1), new Float32Array(255))).rejects.toThrow(bug('255 values, its shape 256'));
      expect(tier.has(hexOf(1))).toBe(false);
    });
  });

  describe('damaged files (K1)', () => {
    it('drops and counts a page with a flipped bit, and takes it again', async () => {
      const log = new RecordingLogger();
      const tier = await openTier(8, { log });
      await save(tier, 1);
      const bytes = await readFile(pathOf(1));
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 0x40;
      await writeFile(pathOf(1), bytes);
      expect(await load(tier, 1)).toBeUndefined();
      expect(tier.has(hexOf(1))).toBe(false);
      expect(await filesBelow(folder)).toEqual([]);
      expect(tier.stats()).toMatchObject({ pages: 0, corrupt: 1, misses: 1, hits: 0 });
      expect(log.lines).toMatchObject([{ level: 'warn', message: 'a damaged page is dropped from disk' }]);
      await save(tier, 1);
      expect(await load(tier, 1)).toEqual(tinyPage(1));
    });

    it('does not take the file of one page for another', async () => {
      const tier = await openTier();
      await save(tier, 1);
      await save(tier, 2);
      await writeFile(pathOf(2), await readFile(pathOf(1)));
      expect(await load(tier, 2)).toBeUndefined();
      expect(await load(tier, 1)).toEqual(tinyPage(1));
      expect(tier.stats().corrupt).toBe(1);
    });

    it('refuses for good a bad page that it cannot remove, until it is saved again', async () => {
      const tier = await openTier();
      await save(tier, 1);
      await rm(pathOf(1));
      await mkdir(pathOf(1));
      expect(await load(tier, 1)).toBeUndefined();
      expect(tier.has(hexOf(1))).toBe(false);
      expect(await load(tier, 1)).toBeUndefined();
      expect(tier.failures).toBe(1);
      await rm(pathOf(1), { recursive: true });
      expect(tier.has(hexOf(1))).toBe(false);
      await save(tier, 1);
      expect(await load(tier, 1)).toEqual(tinyPage(1));
    });
  });

  describe('other processes', () => {
    it('finds a page that another wrote', async () => {
      const [ours, theirs] = [await openTier(), await openTier()];
      await save(theirs, 1);
      expect(ours.has(hexOf(1))).toBe(true);
      expect(ours.stats().pages).toBe(1);
      await save(theirs, 2);
      expect(await load(ours, 2)).toEqual(tinyPage(2));
      await save(theirs, 3);
      await save(ours, 3);
      expect(ours.stats()).toMatchObject({ pages: 3, writes: 0 });
    });

    it('misses a page that another removed, and keeps it again', async () => {
      const tier = await openTier();
      await save(tier, 1);
      await rm(folder, { recursive: true });
      expect(await load(tier, 1)).toBeUndefined();
      expect(tier.has(hexOf(1))).toBe(false);
      expect(tier.stats()).toMatchObject({ pages: 0, corrupt: 0, misses: 1 });
      await save(tier, 1);
      expect(await load(tier, 1)).toEqual(tinyPage(1));
      expect(tier.failures).toBe(0);
    });

    it('shares the budget: two stay below it by half (K3)', async () => {
      const pages = 16;
      const tiers = [await openTier(pages), await openTier(pages)];
      let most = 0;
      for (let label = 0; label < 32; label++) {
        for (const [index, tier] of tiers.entries()) await save(tier, 2 * label + index);
        most = Math.max(most, await bytesBelow(folder));
      }
      expect(most).toBeLessThanOrEqual(1.5 * pages * tinyFileBytes);
      expect(most).toBeGreaterThanOrEqual((pages - 2) * tinyFileBytes);
    });
  });

  describe('a file system that refuses (K4)', () => {
    it('gives the page up, tries ever more rarely, logs once, and recovers', async () => {
      const log = new RecordingLogger();
      const tier = await openTier(8, { log });
      await blockFolderOf(1);
      // tried, 2 untried, tried again, 4 untried
      for (let label = 0; label < 4; label++) await save(tier, 1);
      await rm(dirname(pathOf(1)));
      for (let label = 0; label < 4; label++) await save(tier, 1);
      expect(tier.failures).toBe(8);
      expect(tier.has(hexOf(1))).toBe(false);
      await save(tier, 1);
      expect(await load(tier, 1)).toEqual(tinyPage(1));
      expect(tier.stats()).toMatchObject({ writes: 1 });
      expect(log.lines).toMatchObject([{ level: 'warn', message: 'a page cannot be written to disk' }]);
      // a success ends the row: the next failure is logged again, and stops 2 saves
      await blockFolderOf(2);
      for (let label = 0; label < 3; label++) await save(tier, 2);
      await rm(dirname(pathOf(2)));
      await save(tier, 2);
      expect(await load(tier, 2)).toEqual(tinyPage(2));
      expect(tier.failures).toBe(11);
      expect(log.lines).toHaveLength(2);
    });

    it('leaves no temporary file when the page cannot take its place', async () => {
      const tier = await openTier();
      await mkdir(join(pathOf(1), 'inside'), { recursive: true });
      await save(tier, 1);
      expect(tier.failures).toBe(1);
      expect(tier.has(hexOf(1))).toBe(false);
      expect(await filesBelow(folder)).toEqual([]);
    });

    it('writes nothing beyond its budget when it cannot remove a page', async () => {
      const before = await openTier(2);
      await save(before, 1);
      await save(before, 2);
      await age(1, 0);
      const tier = await openTier(2);
      await rm(pathOf(1));
      await mkdir(pathOf(1));
      await save(tier, 3);
      expect(tier.failures).toBe(1);
      expect(tier.has(hexOf(3))).toBe(false);
      expect(tier.stats()).toMatchObject({ pages: 2, writes: 0, evictions: 0 });
      for (const label of [4, 5, 6]) await save(tier, label);
      expect(keptOf(tier, [2, 3, 4, 5, 6])).toEqual([6]);
      expect(tier.stats()).toMatchObject({ pages: 2, writes: 1, evictions: 1 });
    });
  });

  it('gives saves up beyond what may wait (K5)', async () => {
    const tier = await openTier(40, { waitingBytes: 6 * 1024 });
    const labels = Array.from({ length: 10 }, (_, label) => label);
    await Promise.all(labels.map((label) => save(tier, label)));
    expect(keptOf(tier, labels)).toEqual([0, 1, 2, 3, 4, 5]);
    expect(tier.failures).toBe(4);
    await save(tier, 9);
    expect(tier.has(hexOf(9))).toBe(true);
  });
});
