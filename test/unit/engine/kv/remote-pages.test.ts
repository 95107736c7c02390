import { rm, truncate } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DiskTier, openDiskTier } from '../../../../src/engine/kv/disk-tier.ts';
import { createPageFile } from '../../../../src/engine/kv/page-io.ts';
import { type PageMessage, RemotePages } from '../../../../src/engine/kv/remote-pages.ts';
import { TierChain } from '../../../../src/engine/kv/tiered-pages.ts';
import type { SavedPage, WantedPage } from '../../../../src/engine/messages.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';
import { bytesBelow, filesBelow, hexOf, tinyFileBytes, tinyPage, tinyShape } from './page-samples.ts';

const digest = hexOf('digest');
const chainOf = (...labels: readonly number[]): readonly string[] => labels.map(hexOf);
const range = (from: number, to: number): readonly number[] =>
  Array.from({ length: to - from }, (_, index) => from + index);

describe('RemotePages', () => {
  let folder = '';
  let removeFolder = async (): Promise<void> => {};
  let disk: DiskTier;
  let remote: RemotePages;
  let tier: TierChain;
  const time = { ms: 0 };
  const wanted: WantedPage[] = [];
  const offered: SavedPage[] = [];
  /** What the store has, by name; the label whose values the page has. */
  const stored = new Map<string, number>();
  /** False: the test answers. */
  let answers = true;

  const answer = async ({ name, path }: WantedPage): Promise<void> => {
    const label = stored.get(name);
    if (label !== undefined) await createPageFile(path, { name, shape: tinyShape }, tinyPage(label));
    remote.arrived(path, label !== undefined, null);
  };
  const namesOf = (pages: readonly { readonly name: string }[]): readonly string[] => pages.map(({ name }) => name);
  const put = (...labels: readonly number[]): void => {
    for (const label of labels) stored.set(hexOf(label), label);
  };
  const openTiers = async (pages = 64): Promise<void> => {
    const onStored = (name: string): void => remote.stored(name);
    disk = await openDiskTier({ folder, digest, ...tinyShape, budgetBytes: pages * tinyFileBytes, onStored });
    remote = new RemotePages({ digest, disk, folder, nowMs: () => time.ms });
    remote.onMessage = (message: PageMessage) => {
      if (message.type === 'page-saved') offered.push(message.page);
      else {
        wanted.push(message.page);
        if (answers) void answer(message.page);
      }
    };
    tier = new TierChain([disk, remote]);
  };
  /** As a window does: in order, until one is missing. */
  const loadAll = async (names: readonly string[]): Promise<readonly (Float32Array | undefined)[]> => {
    const found: (Float32Array | undefined)[] = [];
    for (const name of names) {
      const page = tier.has(name) ? await tier.load(name) : undefined;
      found.push(page);
      if (page === undefined) break;
    }
    return found;
  };

  beforeEach(async () => {
    const temporary = await openTemporaryFolder('remote-pages');
    folder = temporary.path;
    removeFolder = temporary.remove;
    time.ms = 0;
    wanted.length = 0;
    offered.length = 0;
    stored.clear();
    answers = true;
    await openTiers();
  });
  afterEach(async () => {
    await tier.close();
    await removeFolder();
  });

  it('gives the pages that the store has, through files on disk', async () => {
    put(1, 2, 3);
    remote.expect('a', chainOf(1, 2, 3));
    expect(await loadAll(chainOf(1, 2, 3))).toEqual([tinyPage(1), tinyPage(2), tinyPage(3)]);
    expect(remote.stats()).toMatchObject({ pages: 3, bytes: 3 * tinyFileBytes, hits: 3, misses: 0 });
    expect(await filesBelow(folder)).toHaveLength(3);
    // they are on disk now
    remote.expect('a', chainOf(1, 2, 3));
    expect(await loadAll(chainOf(1, 2, 3))).toHaveLength(3);
    expect(wanted).toHaveLength(3);
  });

  it('asks with tenant, digest and a path of its own for each', async () => {
    put(1, 2);
    remote.expect('bürgi', chainOf(1, 2));
    await loadAll(chainOf(1, 2));
    expect(wanted).toMatchObject([
      { tenant: 'bürgi', digest, name: hexOf(1) },
      { tenant: 'bürgi', digest, name: hexOf(2) },
    ]);
    expect(new Set(wanted.map(({ path }) => path)).size).toBe(2);
  });

  it('asks nothing about pages that no request has brought (R1)', async () => {
    put(1);
    expect(tier.has(hexOf(1))).toBe(false);
    expect(await remote.load(hexOf(1))).toBeUndefined();
    await tier.save(hexOf(2), tinyPage(2));
    expect([...wanted, ...offered]).toEqual([]);
  });

  it('asks a store that has nothing once, and not again for half a minute (R3)', async () => {
    const names = chainOf(...range(0, 20));
    remote.expect('a', names);
    const inFlight = names.slice(0, 4).map((name) => tier.load(name));
    expect(await Promise.all(inFlight)).toEqual([undefined, undefined, undefined, undefined]);
    expect(namesOf(wanted)).toEqual([hexOf(0)]);
    expect(names.filter((name) => tier.has(name))).toEqual([]);
    expect(remote.stats()).toMatchObject({ hits: 0, misses: 1 });
    time.ms = 29_999;
    expect(tier.has(hexOf(0))).toBe(false);
    time.ms = 30_000;
    put(0);
    expect(await tier.load(hexOf(0))).toEqual(tinyPage(0));
  });

  it('fetches ahead once the first page was found, and stops behind the last (R3)', async () => {
    const names = chainOf(...range(0, 40));
    put(...range(0, 30));
    remote.expect('a', names);
    expect(await tier.load(hexOf(0))).toEqual(tinyPage(0));
    await expect.poll(() => wanted.length).toBeGreaterThanOrEqual(17);
    expect(namesOf(wanted.slice(0, 17)).toSorted()).toEqual(names.slice(0, 17).toSorted());
    const found = await loadAll(names);
    expect(found.filter((page) => page !== undefined)).toHaveLength(30);
    expect(found.at(-1)).toBeUndefined();
    expect(remote.stats().hits).toBe(30);
    expect(tier.has(hexOf(39))).toBe(false);
  });

  it('offers a page when a second request brings it, once (R2)', async () => {
    remote.expect('a', chainOf(1, 2));
    await loadAll(chainOf(1, 2));
    await tier.save(hexOf(1), tinyPage(1));
    expect(offered).toEqual([]);
    remote.expect('a', chainOf(1, 2));
    expect(namesOf(offered)).toEqual([hexOf(1)]);
    // the other one is computed later
    await tier.save(hexOf(2), tinyPage(2));
    remote.expect('a', chainOf(1, 2));
    expect(namesOf(offered)).toEqual(chainOf(1, 2));
    expect(offered[0]).toMatchObject({ tenant: 'a', digest, bytes: tinyFileBytes, replaces: false });
    expect(await filesBelow(folder)).toContain(offered[0]?.path.slice(folder.length + 1));
    expect(remote.stats().writes).toBe(2);
  });

  it('offers the pages that several prefixes begin with', async () => {
    remote.expect('a', chainOf(1, 2));
    remote.expect('a', chainOf(1, 3));
    for (const label of [1, 2, 3]) await tier.save(hexOf(label), tinyPage(label));
    expect(namesOf(offered)).toEqual([hexOf(1)]);
  });

  it('does not offer what came from the store', async () => {
    put(1);
    for (let request = 0; request < 3; request++) remote.expect('a', chainOf(1));
    await tier.load(hexOf(1));
    remote.expect('a', chainOf(1));
    expect(offered).toEqual([]);
  });

  it('replaces a page that is damaged in the store, and does not ask for it again (R4)', async () => {
    answers = false;
    remote.expect('a', chainOf(1));
    const loading = tier.load(hexOf(1));
    await expect.poll(() => wanted.length).toBe(1);
    const [{ path, name } = { path: '', name: '' }] = wanted;
    await createPageFile(path, { name, shape: tinyShape }, tinyPage(1));
    await truncate(path, tinyFileBytes - 1);
    remote.arrived(path, true, null);
    expect(await loading).toBeUndefined();
    expect(remote.stats()).toMatchObject({ hits: 1, corrupt: 1 });
    expect(disk.stats().corrupt).toBe(1);
    expect(tier.has(hexOf(1))).toBe(false);
    await tier.save(hexOf(1), tinyPage(1));
    expect(offered).toMatchObject([{ name: hexOf(1), replaces: true }]);
    expect(wanted).toHaveLength(1);
  });

  it('computes when that was measured to be faster, and counts it', async () => {
    put(1, 2);
    remote.notePrefill(256, 1);
    remote.arrived('/of/an/earlier/process', true, tinyFileBytes);
    remote.expect('a', chainOf(1, 2));
    expect(tier.has(hexOf(1))).toBe(false);
    await tier.save(hexOf(1), tinyPage(1));
    expect(remote.restoreStats()).toEqual({
      bytesPerSecond: tinyFileBytes,
      prefillTokensPerSecond: 256_000,
      declined: 1,
    });
    expect(wanted).toEqual([]);
  });

  it('gives up a page whose file is gone when it is to be taken', async () => {
    answers = false;
    remote.expect('a', chainOf(1));
    const loading = tier.load(hexOf(1));
    await expect.poll(() => wanted.length).toBe(1);
    await rm(folder, { recursive: true });
    remote.arrived(wanted[0]?.path ?? '', true, null);
    expect(await loading).toBeUndefined();
    expect(disk.failures).toBe(1);
  });

  it('ends what is asked when it is closed, and asks and offers nothing from then on (R5)', async () => {
    answers = false;
    remote.expect('a', chainOf(1, 2, 3));
    const loading = [1, 2].map((label) => tier.load(hexOf(label)));
    await expect.poll(() => wanted.length).toBe(1);
    await tier.close();
    expect(await Promise.all(loading)).toEqual([undefined, undefined]);
    remote.expect('a', chainOf(1));
    expect(remote.has(hexOf(1))).toBe(false);
    expect(await remote.load(hexOf(1))).toBeUndefined();
    expect(wanted).toHaveLength(1);
    expect(await filesBelow(folder)).toEqual([]);
  });

  it('stays within the budget of the disk while pages arrive', async () => {
    await tier.close();
    await openTiers(8);
    put(...range(0, 40));
    const names = chainOf(...range(0, 40));
    remote.expect('a', names);
    for (const [label, name] of names.entries()) {
      expect([undefined, ...[label].map(tinyPage)]).toContainEqual(await tier.load(name));
      expect(disk.stats().bytes).toBeLessThanOrEqual(8 * tinyFileBytes);
    }
    expect(disk.stats().evictions).toBeGreaterThan(0);
    expect(remote.stats()).toMatchObject({ hits: 40, corrupt: 0 });
    await tier.close();
    expect(await bytesBelow(folder)).toBeLessThanOrEqual(8 * tinyFileBytes);
  });

  it('forgets pages that were expected long ago', () => {
    for (let chain = 0; chain < 3; chain++) remote.expect('a', chainOf(...range(chain * 8_000, (chain + 1) * 8_000)));
    expect([remote.has(hexOf(0)), remote.has(hexOf(7_999)), remote.has(hexOf(23_999))]).toEqual([false, true, true]);
  });
});
