import { afterEach, expect, it, vi } from 'vitest';
import { openDiskTier } from '../../../../src/engine/kv/disk-tier.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';
import { bytesBelow, hexOf, tinyFileBytes, tinyPage, tinyShape } from './page-samples.ts';

/** A disk with room for so many bytes in all; null: any number. */
const disk = vi.hoisted(() => ({ folder: '', roomBytes: null as number | null }));

vi.mock('../../../../src/engine/kv/page-io.ts', async (importOriginal) => {
  const real = await importOriginal<typeof import('../../../../src/engine/kv/page-io.ts')>();
  const createPageFile: typeof real.createPageFile = async (path, identity, latents) => {
    if (disk.roomBytes !== null && (await bytesBelow(disk.folder)) + tinyFileBytes > disk.roomBytes) {
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' });
    }
    return real.createPageFile(path, identity, latents);
  };
  return { ...real, createPageFile };
});

afterEach(() => {
  disk.roomBytes = null;
});

it('goes on within what a full disk has room for (K4)', async () => {
  const { path, remove } = await openTemporaryFolder('disk-full');
  disk.folder = path;
  disk.roomBytes = 5 * tinyFileBytes;
  const tier = await openDiskTier({ folder: path, digest: hexOf('d'), ...tinyShape, budgetBytes: 100 * tinyFileBytes });
  for (let label = 0; label < 20; label++) await tier.save(hexOf(label), tinyPage(label));
  // 5 kept, 1 failed, 2 given up untried; each of the other 12 took the place of the oldest
  expect(tier.failures).toBe(3);
  expect(tier.stats()).toMatchObject({ pages: 5, bytes: 5 * tinyFileBytes, writes: 17, evictions: 12 });
  expect(await bytesBelow(path)).toBe(5 * tinyFileBytes);
  for (let label = 15; label < 20; label++) expect(await tier.load(hexOf(label))).toEqual(tinyPage(label));

  // somebody else takes all but one page of it
  disk.roomBytes = tinyFileBytes;
  for (let label = 20; label < 60; label++) await tier.save(hexOf(label), tinyPage(label));
  expect(tier.stats().pages).toBe(1);
  expect(await tier.load(hexOf(59))).toEqual(tinyPage(59));
  await tier.close();
  await remove();
});
