import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import type { EngineStats, SavedPage, WantedPage } from '../../../src/engine/index.ts';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { pageKeys } from '../../../src/storage/page-keys.contract.ts';
import { addUploads, PageStore } from '../../../workers/compose/page-store.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

const digest = 'd'.repeat(64);
const nameOf = (label: number): string => label.toString(16).padStart(64, '0');
const keyOf = (label: number): string => pageKeys.page('acme', digest, nameOf(label));

describe('PageStore', () => {
  let folder = '';
  let removeFolder = async (): Promise<void> => {};
  let store: CountingObjectStore;
  let pages: PageStore;
  let log: RecordingLogger;
  const time = { ms: 0 };

  const save = async (label: number, text = `page ${label}`, more: Partial<SavedPage> = {}): Promise<SavedPage> => {
    const path = join(folder, `${label}`);
    await writeFile(path, text);
    const bytes = Buffer.byteLength(text);
    return { tenant: 'acme', digest, name: nameOf(label), path, bytes, replaces: false, ...more };
  };
  const want = (label: number): WantedPage => ({
    tenant: 'acme',
    digest,
    name: nameOf(label),
    path: join(folder, `wanted-${label}`),
  });
  const textOf = async (label: number): Promise<string | undefined> => {
    const found = await store.get(keyOf(label));
    return found === undefined ? undefined : Buffer.from(found.body).toString();
  };

  beforeEach(async () => {
    const temporary = await openTemporaryFolder('page-store');
    folder = temporary.path;
    removeFolder = temporary.remove;
    store = new CountingObjectStore(new MemoryObjectStore());
    log = new RecordingLogger();
    time.ms = 0;
    pages = new PageStore({ store, log, nowMs: () => time.ms++ });
  });
  afterEach(async () => {
    pages.close();
    await removeFolder();
  });

  it('uploads a page under tenant, engine and name', async () => {
    pages.upload(await save(0xab));
    await pages.settled();
    const name = nameOf(0xab);
    expect(keyOf(0xab)).toBe(`v1/acme/pages/${digest}/00/${name}.safetensors`);
    expect(await textOf(0xab)).toBe('page 171');
    expect(pages.stats()).toMatchObject({ uploaded: 1, skipped: 0, dropped: 0 });
  });

  it('leaves a page that is there as it is, but for a damaged one (P2)', async () => {
    await store.put(keyOf(1), Buffer.from('first'));
    pages.upload(await save(1, 'other'));
    await pages.settled();
    expect(await textOf(1)).toBe('first');
    expect(pages.stats()).toMatchObject({ uploaded: 0, skipped: 1 });
    pages.upload(await save(1, 'whole', { replaces: true }));
    await pages.settled();
    expect(await textOf(1)).toBe('whole');
  });

  it('drops a page whose file is gone, or is not what was said', async () => {
    const gone = await save(1);
    pages.upload({ ...gone, path: join(folder, 'nowhere') });
    pages.upload({ ...(await save(2)), bytes: 3 });
    await pages.settled();
    expect(pages.stats()).toMatchObject({ uploaded: 0, dropped: 2 });
    expect(store.calls).toEqual([]);
  });

  it('uploads all of many, two at a time', async () => {
    let most = 0;
    let running = 0;
    const inner = new MemoryObjectStore();
    const slow = new CountingObjectStore(inner);
    // each waits for another one: pages come from files, whose reading takes what it takes
    const waiting: (() => void)[] = [];
    slow.create = async (key, body, options) => {
      running++;
      most = Math.max(most, running);
      const other = waiting.pop();
      if (other === undefined) await new Promise<void>((resolve) => waiting.push(resolve));
      other?.();
      running--;
      return inner.create(key, body, options);
    };
    const many = new PageStore({ store: slow, log, nowMs: () => 0 });
    const saved = await Promise.all(Array.from({ length: 20 }, (_, label) => save(label)));
    for (const page of saved) many.upload(page);
    await many.settled();
    expect(many.stats().uploaded).toBe(20);
    expect(most).toBe(2);
  });

  it('holds 4,096 waiting pages and drops the rest at once (P1)', async () => {
    const page = await save(1);
    for (let count = 0; count < 4_200; count++) pages.upload({ ...page, name: nameOf(count) });
    // two went to work at once
    expect(pages.stats().dropped).toBe(4_200 - 4_096 - 2);
    pages.close();
    expect(pages.stats().dropped).toBe(4_200 - 2);
    await pages.settled();
  });

  it('writes what is asked for to its path', async () => {
    await store.put(keyOf(1), Buffer.from('page 1'));
    expect(await pages.download(want(1))).toBe(true);
    expect(await readFile(want(1).path, 'utf8')).toBe('page 1');
    expect(pages.stats()).toMatchObject({ downloaded: 1, failed: 0 });
    expect(pages.bytesPerSecond).toBeGreaterThan(0);
  });

  it('says when there is no such page, and writes nothing', async () => {
    expect(await pages.download(want(1))).toBe(false);
    await expect(stat(want(1).path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(pages.stats()).toMatchObject({ downloaded: 0, failed: 0 });
    expect(log.lines).toEqual([]);
  });

  it('keeps tenants apart', async () => {
    await store.put(keyOf(1), Buffer.from('of acme'));
    expect(await pages.download({ ...want(1), tenant: 'other' })).toBe(false);
  });

  it('leaves a store that fails alone, longer each time, and says so once a pause (P3)', async () => {
    store.plan = () => 'before';
    expect(await pages.download(want(1))).toBe(false);
    const after = store.calls.length;
    expect(after).toBe(1);
    expect(await pages.download(want(1))).toBe(false);
    pages.upload(await save(2));
    await pages.settled();
    expect(store.calls).toHaveLength(after);
    expect(pages.stats()).toMatchObject({ failed: 1, dropped: 1 });
    time.ms += 1_000;
    expect(await pages.download(want(1))).toBe(false);
    expect(store.calls).toHaveLength(after + 1);
    time.ms += 1_000;
    expect(await pages.download(want(1))).toBe(false);
    expect(store.calls).toHaveLength(after + 1);
    store.plan = () => 'none';
    await store.put(keyOf(1), Buffer.from('page 1'));
    time.ms += 1_000;
    expect(await pages.download(want(1))).toBe(true);
    expect(log.lines).toHaveLength(2);
  });

  it('drops what waits when an upload fails', async () => {
    store.plan = () => 'before';
    for (let label = 0; label < 10; label++) pages.upload(await save(label));
    await pages.settled();
    expect(pages.stats()).toMatchObject({ uploaded: 0, dropped: 10 });
    expect(store.calls.length).toBeLessThanOrEqual(2);
  });

  it('never rejects when the path cannot be written (P1)', async () => {
    await store.put(keyOf(1), Buffer.from('page 1'));
    await mkdir(want(1).path);
    expect(await pages.download(want(1))).toBe(false);
    expect(await pages.download({ ...want(1), path: join(dirname(folder), 'no', 'such', 'folder', 'x') })).toBe(false);
  });

  it('deletes a page whose bytes are not those that were stored, so that it is uploaded again (P2)', async () => {
    const inner = new MemoryObjectStore();
    await inner.put(keyOf(1), Buffer.from('page 1'));
    const damaged = new CountingObjectStore(inner);
    damaged.get = () => Promise.reject(new AppError('corrupt.checksum', 'bytes differ'));
    const carrier = new PageStore({ store: damaged, log, nowMs: () => 0 });
    expect(await carrier.download(want(1))).toBe(false);
    expect(await inner.head(keyOf(1))).toBeUndefined();
    carrier.upload(await save(1));
    await carrier.settled();
    expect(carrier.stats()).toMatchObject({ failed: 1, uploaded: 1 });
  });

  it('ends a download that takes too long', async () => {
    const slow = new CountingObjectStore(new MemoryObjectStore());
    slow.get = (_key, options) =>
      new Promise((_resolve, reject) => {
        options?.signal?.addEventListener('abort', () => reject(options.signal?.reason));
      });
    const impatient = new PageStore({ store: slow, log, nowMs: () => 0, downloadMs: 1 });
    expect(await impatient.download(want(1))).toBe(false);
    expect(impatient.stats().failed).toBe(1);
  });

  it('answers and uploads nothing once it is closed', async () => {
    await store.put(keyOf(1), Buffer.from('page 1'));
    pages.close();
    expect(await pages.download(want(1))).toBe(false);
    pages.upload(await save(2));
    await pages.settled();
    expect(pages.stats()).toMatchObject({ uploaded: 0, dropped: 1, downloaded: 0 });
  });

  it('adds what was uploaded to what the engine says of itself', async () => {
    pages.upload(await save(1));
    await pages.settled();
    const stats = { tiers: { memory: {}, disk: null, remote: { hits: 3, writes: 9 } } } as unknown as EngineStats;
    expect(addUploads(stats, pages)?.tiers.remote).toEqual({ hits: 3, writes: 1 });
    const without = { tiers: { memory: {}, disk: null, remote: null } } as unknown as EngineStats;
    expect(addUploads(without, pages)).toBe(without);
    expect(addUploads(null, pages)).toBeNull();
    expect(addUploads(stats, null)).toBe(stats);
  });
});
