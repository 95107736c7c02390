import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BlockBudget } from '../../../../src/engine/kv/block-budget.ts';
import { openDiskTier } from '../../../../src/engine/kv/disk-tier.ts';
import { NoPrefixCache } from '../../../../src/engine/kv/no-prefix-cache.ts';
import { createPageFile } from '../../../../src/engine/kv/page-io.ts';
import { pageBytes } from '../../../../src/engine/kv/page-shape.ts';
import { PageSource } from '../../../../src/engine/kv/page-source.ts';
import { RemotePages } from '../../../../src/engine/kv/remote-pages.ts';
import { TierChain } from '../../../../src/engine/kv/tiered-pages.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';
import { hexOf, tinyFileBytes, tinyPage, tinyShape } from './page-samples.ts';

/** What of a chain is where: on this disk, in the store, nowhere. */
const places = fc.array(fc.constantFrom('disk', 'store', 'store', 'store', 'nowhere'), { minLength: 1, maxLength: 40 });
const digest = hexOf('digest');
let runs = 0;

describe('pages of a prefix, from disk and object store', () => {
  let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
  beforeEach(async () => {
    folder = await openTemporaryFolder('remote-pages-property');
  });
  afterEach(() => folder.remove());

  it('are read in order as far as there are any, each asked for once, and few beyond the end', async () => {
    await fc.assert(
      fc.asyncProperty(places, fc.infiniteStream(fc.nat({ max: 3 })), async (chain, delays) => {
        const options = { folder: `${folder.path}/${runs++}`, digest, ...tinyShape, budgetBytes: 256 * tinyFileBytes };
        const disk = await openDiskTier(options);
        const remote = new RemotePages({ digest, disk, folder: options.folder, nowMs: () => 0 });
        const tier = new TierChain([disk, remote]);
        const names = chain.map((_, label) => hexOf(label));
        const wanted: number[] = [];
        remote.onMessage = async (message) => {
          if (message.type === 'page-saved') return;
          const label = names.indexOf(message.page.name);
          wanted.push(label);
          // answers come out of order
          for (let turns = delays.next().value; turns > 0; turns--) await new Promise(setImmediate);
          const found = chain[label] === 'store';
          const { path, name } = message.page;
          if (found) await createPageFile(path, { name, shape: tinyShape }, tinyPage(label));
          remote.arrived(path, found, null);
        };
        for (const [label, place] of chain.entries()) {
          if (place === 'disk') await disk.save(names[label] ?? '', tinyPage(label));
        }
        remote.expect('a', names);
        const budget = new BlockBudget(64, pageBytes(tinyShape));
        const pages = new PageSource(new NoPrefixCache(budget), tier);
        const taken: Float32Array[] = [];
        if (pages.hasBelow(names[0] ?? '')) await pages.loadBelow(names, 0, (page) => taken.push(page) > 0);
        await tier.close();
        const end = chain.indexOf('nowhere');
        expect(taken).toEqual((end < 0 ? chain : chain.slice(0, end)).map((_, label) => tinyPage(label)));
        expect(new Set(wanted).size).toBe(wanted.length);
        const lost = wanted.filter((label) => chain[label] === 'nowhere').length;
        expect(lost).toBeLessThanOrEqual(16 + 4);
        // nothing of it in the store: one request says so
        if (!chain.includes('store')) expect(lost).toBeLessThanOrEqual(1);
      }),
      { numRuns: 60 },
    );
  });
});
