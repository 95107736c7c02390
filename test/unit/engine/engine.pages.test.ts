import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/log.ts';
import { openDiskTier } from '../../../src/engine/kv/disk-tier.ts';
import { RemotePages } from '../../../src/engine/kv/remote-pages.ts';
import { TierChain } from '../../../src/engine/kv/tiered-pages.ts';
import type { GenerateRequest } from '../../../src/engine/messages.ts';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { PageStore } from '../../../workers/compose/page-store.ts';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';
import { openFakeRunner } from '../../support/fake-runner.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';
import { chatMessage, generateRequest, openTestEngine, RecordingListener } from '../../support/test-engine.ts';

/** About a document of three blocks. */
function ask(id: string, more: Partial<GenerateRequest> = {}): GenerateRequest {
  const document = `Document ${'lorem ipsum '.repeat(80)}`.slice(0, 768);
  const messages = [chatMessage('system', 'Answer.'), chatMessage('user', document), chatMessage('user', `${id}?`)];
  return generateRequest(id, { messages, sharedMessages: 2, ...more });
}

describe('Engine with an object store for pages', () => {
  let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
  let store: CountingObjectStore;
  let workers = 0;
  const closers: (() => Promise<void>)[] = [];

  /** With memory and disk of its own. */
  const openWorker = async () => {
    const runner = openFakeRunner({ vocabularySize: byteVocabulary });
    const { layers, latentWidth, digest } = runner;
    const path = `${folder.path}/${workers++}`;
    const onStored = (name: string): void => remote.stored(name);
    const disk = await openDiskTier({ folder: path, digest, layers, latentWidth, budgetBytes: 2 ** 26, onStored });
    const remote = new RemotePages({ digest, disk, folder: path, nowMs: () => 0 });
    const pages = new PageStore({ store, log: silentLogger, nowMs: () => 0 });
    remote.onMessage = (message) => {
      if (message.type === 'page-saved') pages.upload(message.page);
      else void pages.download(message.page).then((found) => remote.arrived(message.page.path, found, null));
    };
    const tier = new TierChain([disk, remote]);
    const { engine } = openTestEngine(runner, { tier, remotePages: remote });
    closers.push(() => tier.close());
    return {
      engine,
      pages,
      submit: (request: GenerateRequest) => engine.generate(request, new RecordingListener()),
    };
  };

  beforeEach(async () => {
    folder = await openTemporaryFolder('engine-pages');
    store = new CountingObjectStore(new MemoryObjectStore());
  });
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
    await folder.remove();
  });

  it('goes on behind a prefix that another worker has read, with the same answer', async () => {
    const [first, other] = [await openWorker(), await openWorker()];
    const cold = await first.submit(ask('a'));
    expect(first.pages.stats().uploaded).toBe(0);
    await first.submit(ask('b'));
    await expect.poll(() => first.pages.stats().uploaded).toBe(3);
    const restored = await other.submit(ask('a'));
    expect(restored).toMatchObject({ cachedTokens: 768, cacheMiss: null });
    expect(restored.content).toBe(cold.content);
    expect(other.engine.stats()).toMatchObject({
      tiers: { remote: { hits: 3, misses: 0 } },
      restore: { declined: 0 },
    });
    expect(other.engine.stats().prefillTokens).toBeLessThan(256);
  });

  it('asks the store once about a prefix it has not, and computes it', async () => {
    const { engine, submit } = await openWorker();
    expect(await submit(ask('a'))).toMatchObject({ cachedTokens: 0, cacheMiss: 'first_of_group' });
    expect(store.calls.map(({ operation }) => operation)).toEqual(['get']);
    expect(engine.stats().tiers.remote).toMatchObject({ hits: 0, misses: 1 });
  });

  it('asks and offers nothing for what no other request shares', async () => {
    const { submit } = await openWorker();
    await submit(ask('a', { sharedMessages: 0 }));
    await submit(ask('a', { sharedMessages: 0 }));
    expect(store.calls).toEqual([]);
  });

  it('keeps the pages of tenants apart', async () => {
    const [first, other] = [await openWorker(), await openWorker()];
    for (const id of ['a', 'b']) await first.submit(ask(id));
    await expect.poll(() => first.pages.stats().uploaded).toBe(3);
    expect(await other.submit(ask('a', { tenant: 'other' }))).toMatchObject({ cachedTokens: 0 });
  });

  it('computes when the store fails in the middle', async () => {
    const [first, other, last] = [await openWorker(), await openWorker(), await openWorker()];
    const cold = await first.submit(ask('a'));
    await first.submit(ask('b'));
    await expect.poll(() => first.pages.stats().uploaded).toBe(3);
    const before = store.calls.length;
    store.plan = ({ count }) => (count > before + 1 ? 'before' : 'none');
    const answers = [await other.submit(ask('a')), await last.submit(ask('a'))];
    expect(answers.map(({ content }) => content)).toEqual([cold.content, cold.content]);
    expect(answers[0]?.cachedTokens).toBeGreaterThanOrEqual(256);
    expect(answers[0]?.cachedTokens).toBeLessThan(768);
    expect(answers[1]?.cachedTokens).toBe(0);
  });
});
