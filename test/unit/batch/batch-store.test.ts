import { beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { BatchStore } from '../../../src/batch/batch-store.ts';
import { type CreateOutcome, keys, MemoryObjectStore, prefixes } from '../../../src/storage/index.ts';
import { chatLine, fileOf, tenant, World } from './batch-world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});

const markers = async (): Promise<string[]> =>
  (await world.store.list(prefixes.open)).objects.map(({ key }) => key.slice(prefixes.open.length));

describe('BatchStore.createBatch', () => {
  it('writes record, marker and index entry', async () => {
    const record = await world.createBatch([chatLine('a')], { metadata: { team: 'x' } });
    expect(record).toMatchObject({ status: 'validating', created_at: 1_800_000_000, expires_at: 1_800_086_400 });
    expect(await world.get(record.id)).toEqual(record);
    expect(await markers()).toEqual([record.id]);
    expect((await world.batches.listBatches(tenant, { limit: 10 })).data).toEqual([record]);
  });

  it.each([
    ['endpoint', { endpoint: '/v1/responses' }],
    ['completion_window', { completionWindow: '8d' }],
    ['completion_window', { completionWindow: 'soon' }],
    ['metadata.window', { metadata: { window: 'soon' } }],
    ['metadata', { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`k${index}`, ''])) }],
    ['metadata', { metadata: { ['k'.repeat(65)]: '' } }],
    ['metadata', { metadata: { k: 'v'.repeat(513) } }],
  ])('refuses a bad %s', async (param, more) => {
    await expect(world.createBatch([chatLine('a')], more)).rejects.toMatchObject({
      code: 'input.invalid-request',
      param,
    });
  });

  it('refuses an input file that is missing or was uploaded for something else', async () => {
    await expect(world.createBatch([], { inputFileId: `file-${'0'.repeat(24)}` })).rejects.toMatchObject({
      code: 'input.not-found',
      param: 'input_file_id',
    });
    const other = await world.batches.saveFile(tenant, fileOf('x'), { filename: 'a.md', purpose: 'user_data' });
    await expect(world.createBatch([], { inputFileId: other.id })).rejects.toMatchObject({ param: 'input_file_id' });
  });

  it('takes the window from the metadata when the client can only say 24h', async () => {
    const record = await world.createBatch([chatLine('a')], { metadata: { window: '1h' } });
    expect(record.expires_at - record.created_at).toBe(3_600);
    expect(record.completion_window).toBe('24h');
  });

  it('keeps batches behind single calls out of the listing', async () => {
    const record = await world.createBatch([chatLine('a')], { priority: 'interactive' });
    expect((await world.batches.listBatches(tenant, { limit: 10 })).data).toEqual([]);
    expect(await markers()).toEqual([record.id]);
  });
});

describe('BatchStore.createBatch repeated', () => {
  const same = async (more: object = {}): Promise<string> =>
    (await world.createBatch([], { inputFileId: fileId, ...more })).id;
  let fileId: string;
  beforeEach(async () => {
    const file = await world.batches.saveFile(tenant, fileOf(chatLine('a')), {
      filename: 'in.jsonl',
      purpose: 'batch',
    });
    fileId = file.id;
  });

  it('makes two batches of two deliberate creates', async () => {
    expect(await same()).not.toBe(await same());
  });

  it('gives a retry the batch of the last equal create', async () => {
    await same();
    const last = await same();
    world.clock.advance(200_000);
    expect(await same({ retryCount: 1 })).toBe(last);
    expect(await same({ retryCount: 2 })).toBe(last);
    expect((await world.batches.listBatches(tenant, { limit: 10 })).data).toHaveLength(2);
  });

  it('gives a retry a new batch when something differs, or 5 minutes later', async () => {
    const first = await same();
    expect(await same({ retryCount: 1, metadata: { a: 'b' } })).not.toBe(first);
    expect(await same({ retryCount: 1, completionWindow: '1h' })).not.toBe(first);
    world.clock.advance(301_000);
    const late = await same({ retryCount: 1 });
    expect(late).not.toBe(first);
    expect(await same({ retryCount: 2 })).toBe(late);
  });

  it('lets a retry finish a create that died after its reservation', async () => {
    class DyingStore extends MemoryObjectStore {
      isDying = false;
      override async create(key: string, body: Uint8Array): Promise<CreateOutcome> {
        if (this.isDying && key.endsWith('batch.json')) throw new AppError('transient.store-error', 'gone');
        return super.create(key, body);
      }
    }
    const store = new DyingStore();
    const batches = new BatchStore({ store, clock: world.clock });
    const file = await batches.saveFile(tenant, fileOf('x'), { filename: 'in.jsonl', purpose: 'batch' });
    const request = {
      tenant,
      inputFileId: file.id,
      endpoint: '/v1/chat/completions',
      completionWindow: '24h',
      metadata: null,
      outputExpiresAfterSeconds: null,
      priority: 'batch',
    } as const;
    store.isDying = true;
    await expect(batches.createBatch(request)).rejects.toMatchObject({ family: 'transient' });
    expect((await batches.listBatches(tenant, { limit: 10 })).data).toEqual([]);
    store.isDying = false;
    world.clock.advance(2_000);
    const record = await batches.createBatch({ ...request, retryCount: 1 });
    // one index entry: the retry used the time of the reservation
    expect((await batches.listBatches(tenant, { limit: 10 })).data).toEqual([record]);
  });

  it('makes one batch of two retries at the same time', async () => {
    const ids = await Promise.all([same({ retryCount: 1 }), same({ retryCount: 1 }), same({ retryCount: 2 })]);
    expect(new Set(ids).size).toBe(1);
  });

  it('honours an idempotency key for a day, and refuses other parameters under it', async () => {
    const first = await same({ idempotencyKey: 'k' });
    expect(await same({ idempotencyKey: 'k' })).toBe(first);
    expect(await same({ idempotencyKey: 'other' })).not.toBe(first);
    await expect(same({ idempotencyKey: 'k', completionWindow: '1h' })).rejects.toMatchObject({
      code: 'input.invalid-request',
      param: 'Idempotency-Key',
    });
    world.clock.advance(86_401_000);
    expect(await same({ idempotencyKey: 'k' })).not.toBe(first);
  });
});

describe('BatchStore.updateBatch', () => {
  it('applies every change of writers that race', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    const add = (): Promise<unknown> =>
      world.batches.updateBatch(tenant, id, (record) => ({ ...record, error_total: record.error_total + 1 }));
    await Promise.all(Array.from({ length: 5 }, add));
    expect((await world.get(id)).error_total).toBe(5);
  });

  it('writes nothing when nothing changes, and names a batch that is not there', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    const before = await world.store.head(keys.batch(tenant, id));
    await world.batches.updateBatch(tenant, id, (record) => record);
    expect((await world.store.head(keys.batch(tenant, id)))?.etag).toBe(before?.etag);
    await expect(world.batches.updateBatch(tenant, 'batch_x', (record) => record)).rejects.toMatchObject({
      code: 'input.not-found',
    });
  });

  it('cancels once, and refuses to cancel what is final', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    const first = await world.batches.cancelBatch(tenant, id);
    expect(first.status).toBe('cancelling');
    world.clock.advance(5_000);
    expect(await world.batches.cancelBatch(tenant, id)).toEqual(first);
    await world.batches.updateBatch(tenant, id, (record) => ({ ...record, status: 'cancelled' }));
    await expect(world.batches.cancelBatch(tenant, id)).rejects.toMatchObject({ code: 'input.state' });
  });

  it('refuses a record of a newer version by name', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    await world.store.put(keys.batch(tenant, id), Buffer.from('{"version":2}'));
    await expect(world.get(id)).rejects.toMatchObject({ code: 'corrupt.version' });
    await world.store.put(keys.batch(tenant, id), Buffer.from('{"version":1}'));
    await expect(world.get(id)).rejects.toMatchObject({ code: 'corrupt.record' });
  });
});

describe('BatchStore.listBatches', () => {
  it('pages newest first, within one second too', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 7; index++) {
      ids.unshift((await world.createBatch([chatLine('a')])).id);
      world.clock.advance(index === 3 ? 60_000 : 1);
    }
    const seen: string[] = [];
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = await world.batches.listBatches(tenant, { limit: 3, ...(after === undefined ? {} : { after }) });
      seen.push(...page.data.map(({ id }) => id));
      after = page.data.at(-1)?.id;
      more = page.hasMore;
    }
    expect(seen).toEqual(ids);
  });

  it('shows a tenant its own batches only, and skips entries without a batch', async () => {
    await world.createBatch([chatLine('a')]);
    await world.store.put(keys.batchIndex(world.clock.nowMs(), 'batch_dead'), Buffer.from('{}'));
    expect((await world.batches.listBatches('other', { limit: 10 })).data).toEqual([]);
    expect((await world.batches.listBatches(tenant, { limit: 1 })).data).toHaveLength(1);
    await expect(world.batches.listBatches(tenant, { limit: 1, after: 'batch_x' })).rejects.toMatchObject({
      code: 'input.not-found',
    });
  });

  it('puts back the markers of batches that are not final', async () => {
    const open = await world.createBatch([chatLine('a')]);
    const done = await world.createBatch([chatLine('b')]);
    await world.batches.updateBatch(tenant, done.id, (record) => ({ ...record, status: 'completed' }));
    await world.store.delete([keys.open(open.id), keys.open(done.id)]);
    expect(await world.batches.repairMarkers(tenant)).toBe(1);
    expect(await markers()).toEqual([open.id]);
  });
});

describe('BatchStore files', () => {
  const save = (filename: string, purpose = 'user_data'): ReturnType<BatchStore['saveFile']> =>
    world.batches.saveFile(tenant, fileOf(filename), { filename, purpose });

  it('stores bytes first and describes them later', async () => {
    const stored = await world.batches.storeBytes(tenant, fileOf('hello'));
    expect(await world.batches.findFile(tenant, stored.id)).toBeUndefined();
    const record = await world.batches.describeBytes(stored, { filename: 'a.txt', purpose: 'batch' });
    expect(record).toMatchObject({ bytes: 5, filename: 'a.txt', expires_at: record.created_at + 30 * 86_400 });
    const content = await world.batches.openFileContent(tenant, record.id);
    expect(Buffer.concat(await content.stream.toArray()).toString()).toBe('hello');
  });

  it('leaves nothing of a file over the limit', async () => {
    await expect(world.batches.storeBytes(tenant, fileOf('hello'), 4)).rejects.toMatchObject({
      code: 'input.too-large',
    });
    expect((await world.store.list('v1/')).objects).toEqual([]);
  });

  it('lists in both orders, by purpose, page by page', async () => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) {
      await save(name, name === 'c' ? 'batch' : 'user_data');
      world.clock.advance(1_000);
    }
    const list = async (
      options: Partial<Parameters<BatchStore['listFiles']>[1]>,
    ): Promise<[string[], boolean, string]> => {
      const page = await world.batches.listFiles(tenant, { limit: 2, ...options });
      return [page.data.map(({ filename }) => filename), page.hasMore, page.data.at(-1)?.id ?? ''];
    };
    const [newest, more, after] = await list({});
    expect([newest, more]).toEqual([['e', 'd'], true]);
    expect((await list({ after })).slice(0, 2)).toEqual([['c', 'b'], true]);
    expect((await list({ purpose: 'batch' })).slice(0, 2)).toEqual([['c'], false]);
    const [oldest, , last] = await list({ order: 'asc' });
    expect(oldest).toEqual(['a', 'b']);
    expect((await list({ order: 'asc', after: last, limit: 9 })).slice(0, 2)).toEqual([['c', 'd', 'e'], false]);
  });

  it('hides files that are unlisted or expired', async () => {
    await world.batches.saveFile(tenant, fileOf('x'), { filename: 'x', purpose: 'batch', listed: false });
    const short = await world.batches.saveFile(tenant, fileOf('y'), {
      filename: 'y',
      purpose: 'batch',
      expiresAfterSeconds: 3_600,
    });
    expect((await world.batches.listFiles(tenant, { limit: 9 })).data).toEqual([short]);
    world.clock.advance(3_600_000);
    expect((await world.batches.listFiles(tenant, { limit: 9 })).data).toEqual([]);
    await expect(world.batches.getFile(tenant, short.id)).rejects.toMatchObject({ code: 'input.not-found' });
  });

  it('deletes record, bytes and index entry', async () => {
    const { id } = await save('a');
    await world.batches.deleteFile(tenant, id);
    const left = (await world.store.list('v1/')).objects.map(({ key }) => key.split('/')[1]);
    // the tombstone, and the entry of the upload that goes when its day is over
    expect(left).toEqual(['deleted', 'expiring']);
    await expect(world.batches.deleteFile(tenant, id)).rejects.toMatchObject({ code: 'input.not-found' });
  });
});
