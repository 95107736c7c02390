import { mkdir, rm, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type DiskTier, openDiskTier } from '../../../../src/engine/kv/disk-tier.ts';
import { createPageFile } from '../../../../src/engine/kv/page-io.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';
import { bytesBelow, filesBelow, hexOf, openGate, tinyFileBytes, tinyPage, tinyShape } from './page-samples.ts';

const digest = hexOf('digest');

describe('disk tier, pages that others write', () => {
  let folder = '';
  let removeFolder = async (): Promise<void> => {};
  let tier: DiskTier;
  const stored: string[] = [];

  const open = async (pages: number): Promise<void> => {
    const onStored = (name: string): unknown => stored.push(name);
    tier = await openDiskTier({ folder, digest, ...tinyShape, budgetBytes: pages * tinyFileBytes, onStored });
  };
  const write = (label: number) => async (path: string) => {
    await createPageFile(path, { name: hexOf(label), shape: tinyShape }, tinyPage(label));
    return true;
  };
  const receive = (label: number, how = write(label)): Promise<boolean> => tier.receive(hexOf(label), how);
  const load = (label: number): Promise<Float32Array | undefined> => tier.load(hexOf(label));

  beforeEach(async () => {
    const temporary = await openTemporaryFolder('disk-tier-receive');
    folder = temporary.path;
    removeFolder = temporary.remove;
    stored.length = 0;
    await open(8);
  });
  afterEach(async () => {
    await tier.close();
    await removeFolder();
  });

  it('are kept like its own, but not announced', async () => {
    expect(await receive(1)).toBe(true);
    expect(tier.has(hexOf(1))).toBe(true);
    expect(await load(1)).toEqual(tinyPage(1));
    expect(tier.stats()).toMatchObject({ pages: 1, bytes: tinyFileBytes, writes: 1, hits: 1 });
    await tier.save(hexOf(2), tinyPage(2));
    await tier.save(hexOf(1), tinyPage(1));
    expect(stored).toEqual([hexOf(2)]);
  });

  it('are not asked for when they are there already', async () => {
    await tier.save(hexOf(1), tinyPage(1));
    expect(await receive(1, () => expect.fail('it is there'))).toBe(true);
    expect(tier.stats().writes).toBe(1);
  });

  it('leave nothing behind when there is none', async () => {
    expect(
      await receive(1, async (path) => {
        await writeFile(path, 'half');
        return false;
      }),
    ).toBe(false);
    expect(await filesBelow(folder)).toEqual([]);
    expect(tier.has(hexOf(1))).toBe(false);
    expect(tier.failures).toBe(0);
  });

  it('are dropped when they are damaged, or another page (K1)', async () => {
    await receive(1, async (path) => {
      await write(1)(path);
      await truncate(path, tinyFileBytes - 1);
      return true;
    });
    await receive(2, write(3));
    expect([await load(1), await load(2)]).toEqual([undefined, undefined]);
    expect(tier.stats()).toMatchObject({ corrupt: 2, pages: 0 });
    expect(await filesBelow(folder)).toEqual([]);
  });

  it('make room for themselves before they are written (K3)', async () => {
    await tier.close();
    await open(4);
    for (const label of [1, 2, 3, 4]) await tier.save(hexOf(label), tinyPage(label));
    await Promise.all([5, 6, 7, 8, 9].map((label) => receive(label)));
    expect(tier.stats()).toMatchObject({ pages: 4, evictions: 5 });
    expect(await bytesBelow(folder)).toBe(4 * tinyFileBytes);
  });

  it('are given up when the file system refuses (K4)', async () => {
    const path = join(folder, digest, hexOf(1).slice(0, 2));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, '');
    expect(await receive(1)).toBe(false);
    expect(tier.failures).toBe(1);
    await rm(path);
    expect(await receive(1)).toBe(true);
  });

  it('are given up when whoever wrote them says so in vain (K4)', async () => {
    expect(await receive(1, () => Promise.resolve(true))).toBe(false);
    expect(tier.failures).toBe(1);
  });

  it('are waited for at the end', async () => {
    const gate = openGate();
    const begun = openGate();
    const receiving = receive(1, async (path) => {
      begun.resolve();
      await gate.promise;
      return write(1)(path);
    });
    await begun.promise;
    let isClosed = false;
    const closing = tier.close().then(() => {
      isClosed = true;
    });
    await Promise.resolve();
    expect(isClosed).toBe(false);
    gate.resolve();
    await closing;
    expect(await receiving).toBe(true);
    expect(await receive(2)).toBe(false);
  });
});
