import { describe, expect, it } from 'vitest';
import { expireFiles } from '../../../src/batch/expire-files.ts';
import { FileStore } from '../../../src/batch/file-store.ts';
import { StoreTime } from '../../../src/batch/store-time.ts';
import { Tombstones, tombstoneMs } from '../../../src/batch/tombstones.ts';
import { keys, MemoryObjectStore } from '../../../src/storage/index.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';
import { fileOf, ManualClock, tenant } from './batch-world.ts';

function setUp() {
  const clock = new ManualClock();
  const store = new CountingObjectStore(new MemoryObjectStore(() => clock.nowMs()));
  const files = new FileStore({ store, clock });
  const tombstones = new Tombstones(store, clock);
  const listKeys = async (): Promise<string[]> => (await store.list('')).objects.map(({ key }) => key);
  const save = (expiresAfterSeconds: number | null = null) =>
    files.saveFile(tenant, fileOf('text'), { filename: 'a', purpose: 'user_data', expiresAfterSeconds });
  const log = new RecordingLogger();
  const expire = () => expireFiles({ store, files, time: new StoreTime(store, clock), log });
  return { clock, store, files, tombstones, listKeys, save, expire, log };
}

const day = 86_400_000;

describe('Tombstones', () => {
  it('finish a delete that died at any of its requests', async () => {
    for (let deathAt = 1; ; deathAt++) {
      const { store, files, tombstones, listKeys, save, clock } = setUp();
      const { id } = await save();
      let calls = 0;
      store.plan = () => {
        calls += 1;
        return calls === deathAt ? 'after' : 'none';
      };
      const died = await files.deleteFile(tenant, id).then(
        () => false,
        () => true,
      );
      store.plan = () => 'none';
      if (!died) {
        expect(deathAt).toBeGreaterThan(3);
        return;
      }
      await tombstones.sweep();
      const left = (await listKeys()).filter(
        (key) => !key.startsWith('v1/deleted/') && !key.startsWith('v1/expiring/'),
      );
      // a delete that died before its tombstone was not begun
      expect(left.length).toBe((await tombstones.isBuried(id)) ? 0 : 3);
      clock.advance(tombstoneMs);
    }
  });

  it('go when a repeated create can no longer come, and sweep late writers before', async () => {
    const { files, tombstones, listKeys, save, store, clock } = setUp();
    const { id } = await save();
    await files.deleteFile(tenant, id);
    await tombstones.sweep();
    await store.put(keys.fileContent(tenant, id), Buffer.from('late'));
    await tombstones.sweep();
    expect(await listKeys()).toContain(keys.fileContent(tenant, id));
    clock.advance(15 * 60_000);
    await tombstones.sweep();
    expect(await listKeys()).not.toContain(keys.fileContent(tenant, id));
    await store.put(keys.fileContent(tenant, id), Buffer.from('very late'));
    clock.advance(tombstoneMs);
    await tombstones.sweep();
    expect((await listKeys()).filter((key) => !key.startsWith('v1/expiring/'))).toEqual([]);
  });

  it('cost one listing a look once they are swept', async () => {
    const { files, tombstones, save, store } = setUp();
    for (let index = 0; index < 5; index++) await files.deleteFile(tenant, (await save()).id);
    await tombstones.sweep();
    store.reset();
    await tombstones.sweep();
    expect(store.counts.byOperation).toEqual({ list: 1 });
  });

  it('delete nothing when damaged', async () => {
    const { store, tombstones, listKeys, save } = setUp();
    await save();
    const before = await listKeys();
    const body = { version: 1, id: 'x', tenant, prefixes: [''], keys: [], at_ms: 0 };
    await store.put(keys.deleted('x'), Buffer.from(JSON.stringify(body)));
    await expect(tombstones.sweep()).rejects.toMatchObject({ code: 'corrupt.record' });
    expect((await listKeys()).filter((key) => !key.startsWith('v1/deleted/'))).toEqual(before);
  });
});

describe('expireFiles', () => {
  it('deletes what is over and nothing else', async () => {
    const { clock, expire, save, listKeys, files } = setUp();
    const short = await save(3_600);
    const long = await save(7_200);
    const ever = await save();
    clock.advance(3_600_000);
    expect(await expire()).toBe(1);
    expect((await listKeys()).filter((key) => key.includes(short.id) && !key.startsWith('v1/expiring/'))).toEqual([]);
    for (const { id } of [long, ever]) await files.openFileContent(tenant, id);
    clock.advance(2 * day);
    await expire();
    expect((await listKeys()).filter((key) => !key.includes(ever.id))).toEqual([keys.storeTime]);
  });

  it('deletes bytes that never became a file, a day later', async () => {
    const { clock, expire, files, listKeys } = setUp();
    await files.storeBytes(tenant, fileOf('lost'));
    expect(await expire()).toBe(0);
    expect((await listKeys()).length).toBe(2);
    clock.advance(day);
    await expire();
    expect(await listKeys()).toEqual([keys.storeTime]);
  });

  it('goes on where it died', async () => {
    for (let deathAt = 1; ; deathAt++) {
      const { store, clock, expire, save, listKeys } = setUp();
      await save(3_600);
      clock.advance(2 * day);
      let calls = 0;
      store.plan = () => {
        calls += 1;
        return calls >= deathAt && calls < deathAt + 3 ? 'before' : 'none';
      };
      await expire().catch(() => {});
      const isLast = calls < deathAt;
      store.plan = () => 'none';
      await expire();
      expect(await listKeys()).toEqual([keys.storeTime]);
      if (isLast) return;
    }
  });

  it('does not believe our own clock alone', async () => {
    const { store, files, save, log } = setUp();
    const { id } = await save(3_600);
    const ours = new ManualClock();
    ours.advance(30 * day);
    expect(await expireFiles({ store, files, time: new StoreTime(store, ours), log })).toBe(0);
    await files.openFileContent(tenant, id);
  });

  it('passes over a damaged record, saying so', async () => {
    const { store, clock, expire, save, log } = setUp();
    const bad = await save(3_600);
    await save(3_600);
    await store.put(keys.fileMeta(tenant, bad.id), Buffer.from('{'));
    clock.advance(3_600_000);
    expect(await expire()).toBe(1);
    expect(JSON.stringify(log.lines)).toContain(bad.id);
  });
});
