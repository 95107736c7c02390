import { silentLogger } from '../../src/base/log.ts';
import { openDiskTier } from '../../src/engine/kv/disk-tier.ts';
import { openMemoryTier } from '../../src/engine/kv/memory-tier.ts';
import { pageFileBytes } from '../../src/engine/kv/page-file.ts';
import { pageBytes } from '../../src/engine/kv/page-shape.ts';
import { RemotePages } from '../../src/engine/kv/remote-pages.ts';
import { TierChain } from '../../src/engine/kv/tiered-pages.ts';
import type { PageTier } from '../../src/engine/ports.ts';
import { MemoryObjectStore } from '../../src/storage/index.ts';
import { PageStore } from '../../workers/compose/page-store.ts';
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
pageTierSuite('chain of disk and object store', async (pages) => {
  const { path, remove } = await openTemporaryFolder('page-tier');
  const budgetBytes = pages * pageFileBytes({ name: digest, shape: suiteShape });
  const disk = await openDiskTier({ folder: path, digest, ...suiteShape, budgetBytes });
  const remote = new RemotePages({ digest, disk, folder: path, nowMs: () => 0 });
  const store = new PageStore({ store: new MemoryObjectStore(), log: silentLogger, nowMs: () => 0 });
  remote.onMessage = (message) => {
    if (message.type === 'page-saved') store.upload(message.page);
    else void store.download(message.page).then((found) => remote.arrived(message.page.path, found, null));
  };
  return { tier: new TierChain([disk, remote]), remove };
});
pageTierSuite('chain of disk and an empty tier', (pages) =>
  openOnDisk(pages, (disk) => new TierChain([disk, openMemoryTier(0)])),
);
