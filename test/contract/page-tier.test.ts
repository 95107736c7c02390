import { openDiskTier } from '../../src/engine/kv/disk-tier.ts';
import { openMemoryTier } from '../../src/engine/kv/memory-tier.ts';
import { pageFileBytes } from '../../src/engine/kv/page-file.ts';
import { pageBytes } from '../../src/engine/kv/page-shape.ts';
import { TierChain } from '../../src/engine/kv/tiered-pages.ts';
import type { PageTier } from '../../src/engine/ports.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';
import { nameOf, type OpenedPageTier, pageTierSuite, suiteShape } from './page-tier.suite.ts';

const digest = nameOf('digest');
const keepNothing = async (): Promise<void> => {};

async function openOnDisk(pages: number, wrap: (disk: PageTier) => PageTier): Promise<OpenedPageTier> {
  const { path, remove } = await openTemporaryFolder('page-tier');
  const budgetBytes = pages * pageFileBytes({ name: digest, shape: suiteShape });
  const disk = await openDiskTier({ folder: path, digest, ...suiteShape, budgetBytes });
  return { tier: wrap(disk), remove };
}

pageTierSuite('memory', async (pages) => ({
  tier: openMemoryTier(pages * pageBytes(suiteShape)),
  remove: keepNothing,
}));
pageTierSuite('disk', (pages) => openOnDisk(pages, (disk) => disk));
pageTierSuite('chain of disk and an empty tier', (pages) =>
  openOnDisk(pages, (disk) => new TierChain([disk, openMemoryTier(0)])),
);
