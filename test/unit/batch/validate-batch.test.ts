import { beforeEach, describe, expect, it, vi } from 'vitest';
import { encodeLineIndex } from '../../../src/batch/line-index.ts';
import { LineReader, readLines } from '../../../src/batch/line-reader.ts';
import { findPlan, loadPlan } from '../../../src/batch/plan-store.ts';
import type { BatchRecord } from '../../../src/batch/records.schema.ts';
import { type Preparation, prepareBatch } from '../../../src/batch/validate-batch.ts';
import { keys, MemoryObjectStore } from '../../../src/storage/index.ts';
import { chatLine, groupedLine, tenant, World } from './batch-world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});
const prepare = (record: BatchRecord): Promise<Preparation> => prepareBatch(world, record);

describe('prepareBatch', () => {
  it('stores lines, index and plan, and names the model', async () => {
    const record = await world.createBatch([groupedLine('a', 'x'), groupedLine('b', 'y'), groupedLine('c', 'x')]);
    const preparation = await prepare(record);
    expect(preparation).toMatchObject({ type: 'planned', model: 'm' });
    const plan = await loadPlan(world.store, tenant, record.id);
    expect(plan.units.map(({ lines }) => lines.map(({ index }) => index))).toEqual([[0, 2], [1]]);
    const read = await readLines(world.store, tenant, record.id, [2, 0]);
    expect(read.map(({ index, custom_id }) => [index, custom_id])).toEqual([
      [2, 'c'],
      [0, 'a'],
    ]);
  });

  it('names no model when lines differ', async () => {
    const record = await world.createBatch([chatLine('a'), chatLine('b', { model: 'n' })]);
    expect(await prepare(record)).toMatchObject({ type: 'planned', model: null });
  });

  it('writes the same objects when it runs again', async () => {
    const record = await world.createBatch([chatLine('a'), chatLine('b')]);
    await prepare(record);
    const names = [keys.lines, keys.linesIndex, keys.plan].map((keyOf) => keyOf(tenant, record.id));
    const first = await Promise.all(names.map((key) => world.readText(key)));
    await prepare(record);
    expect(await Promise.all(names.map((key) => world.readText(key)))).toEqual(first);
  });

  it('takes the plan that is there, whatever it would plan itself', async () => {
    const record = await world.createBatch([chatLine('a'), chatLine('b')]);
    const there = {
      version: 1,
      batch_id: record.id,
      units: [{ id: 'u000000', shared_prefix: null, lines: [] }],
    } as const;
    await world.store.put(keys.plan(tenant, record.id), Buffer.from(JSON.stringify(there)));
    expect(await prepare(record)).toMatchObject({ plan: there });
  });

  it('lists all errors, stores them, and leaves no lines or plan', async () => {
    const record = await world.createBatch([chatLine('a'), 'nonsense', chatLine('a')]);
    const preparation = await prepare(record);
    expect(preparation).toMatchObject({
      type: 'rejected',
      errors: [
        { code: 'invalid_json_line', line: 2 },
        { code: 'duplicate_custom_id', line: 3 },
      ],
    });
    const stored = (await world.readText(keys.lineErrors(tenant, record.id)))?.trimEnd().split('\n');
    expect(stored).toHaveLength(2);
    expect(await world.readText(keys.lines(tenant, record.id))).toBeUndefined();
    expect(await findPlan(world.store, tenant, record.id)).toBeUndefined();
  });

  it('rejects a batch whose input file was deleted', async () => {
    const record = await world.createBatch([chatLine('a')]);
    await world.batches.deleteFile(tenant, record.input_file_id);
    expect(await prepare(record)).toMatchObject({ type: 'rejected', errors: [{ code: 'input_file_not_found' }] });
  });
});

describe('LineReader', () => {
  class CountingStore extends MemoryObjectStore {
    readonly reads: string[] = [];
    override async get(...args: Parameters<MemoryObjectStore['get']>): ReturnType<MemoryObjectStore['get']> {
      const [key, options] = args;
      this.reads.push(`${key.slice(key.lastIndexOf('/') + 1)} ${options?.range?.start ?? ''}`.trim());
      return super.get(...args);
    }
  }

  const lineOf = (index: number, textBytes: number): string =>
    `${JSON.stringify({ index, custom_id: `c${index}`, url: '/v1/analyses', body: { text: 'x'.repeat(textBytes) } })}\n`;

  async function fill(store: MemoryObjectStore, textBytes: readonly number[]): Promise<void> {
    const texts = textBytes.map((bytes, index) => lineOf(index, bytes));
    const offsets = [0];
    for (const text of texts) offsets.push((offsets.at(-1) ?? 0) + text.length);
    await store.put(keys.lines(tenant, 'batch_r'), Buffer.from(texts.join('')));
    await store.put(keys.linesIndex(tenant, 'batch_r'), encodeLineIndex(offsets));
  }

  it('reads neighbours in one request, and leaves out what lies far between', async () => {
    const store = new CountingStore();
    await fill(store, [10, 10, 100, 200_000, 10]);
    const reader = new LineReader(store, tenant, 'batch_r');
    expect((await reader.read([4, 0, 2, 0])).map(({ custom_id }) => custom_id)).toEqual(['c4', 'c0', 'c2', 'c0']);
    expect(store.reads.filter((read) => read.startsWith('lines.jsonl'))).toHaveLength(2);
    await reader.read([1]);
    expect(store.reads.filter((read) => read === 'lines.index')).toHaveLength(1);
  });

  it('reads what follows short lines with them, and asks again for what could not be read', async () => {
    const store = new CountingStore();
    await fill(store, [...Array.from({ length: 600 }, () => 200), 10]);
    const reader = new LineReader(store, tenant, 'batch_r');
    const wanted = (unit: number): number[] => Array.from({ length: 64 }, (_, line) => unit * 64 + line);
    const linesRead = (): number => store.reads.filter((read) => read.startsWith('lines.jsonl')).length;
    const units = await Promise.all([0, 1, 2].map((unit) => reader.read(wanted(unit))));
    expect(units.flat().map(({ index }) => index)).toEqual([0, 1, 2].flatMap(wanted));
    expect(linesRead()).toBe(1);
    const get = vi.spyOn(store, 'get').mockRejectedValueOnce(new Error('gone'));
    await expect(reader.read(wanted(8))).rejects.toThrow('gone');
    get.mockRestore();
    expect((await reader.read([599, 600])).map(({ index }) => index)).toEqual([599, 600]);
    expect((await reader.read(wanted(8))).map(({ index }) => index)).toEqual(wanted(8));
    expect(linesRead()).toBe(3);
  });

  it('refuses an index outside the file, and files that do not fit together', async () => {
    const store = new MemoryObjectStore();
    await fill(store, [10, 10]);
    const reader = new LineReader(store, tenant, 'batch_r');
    await expect(reader.read([2])).rejects.toMatchObject({ code: 'corrupt.record' });
    await store.put(keys.lines(tenant, 'batch_r'), Buffer.from('short'));
    await expect(reader.read([1])).rejects.toMatchObject({ code: 'corrupt.record' });
  });

  it('refuses a damaged or unknown index by name, and reads again after a repair', async () => {
    const store = new MemoryObjectStore();
    const reader = new LineReader(store, tenant, 'batch_r');
    await expect(reader.read([0])).rejects.toMatchObject({ code: 'corrupt.record' });
    await fill(store, [10, 10]);
    const good = Buffer.from((await store.get(keys.linesIndex(tenant, 'batch_r')))?.body ?? []);
    const putIndex = (body: Uint8Array): Promise<unknown> => store.put(keys.linesIndex(tenant, 'batch_r'), body);
    for (let bytes = 0; bytes < good.length; bytes++) {
      await putIndex(good.subarray(0, bytes));
      await expect(reader.read([0])).rejects.toMatchObject({ code: 'corrupt.record' });
    }
    const newer = Buffer.from(good);
    newer.writeUInt32LE(2, 4);
    await putIndex(newer);
    await expect(reader.read([0])).rejects.toMatchObject({ code: 'corrupt.version' });
    await putIndex(good);
    expect((await reader.read([0]))[0]?.custom_id).toBe('c0');
  });
});
