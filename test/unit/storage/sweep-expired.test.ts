import { describe, expect, it } from 'vitest';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { pageKeys } from '../../../src/storage/page-keys.contract.ts';
import { sweepExpired } from '../../../src/storage/sweep-expired.ts';

const dayMs = 86_400_000;
const digest = 'e'.repeat(64);
const pageKey = (index: number): string => pageKeys.page('default', digest, index.toString(16).padStart(64, '0'));

async function fill(keys: readonly (readonly [key: string, ageDays: number])[]) {
  const time = { ms: 0 };
  const store = new MemoryObjectStore(() => time.ms);
  const nowMs = 1_000 * dayMs;
  for (const [key, ageDays] of keys) {
    time.ms = nowMs - ageDays * dayMs;
    await store.put(key, new Uint8Array(100));
  }
  const left = async (): Promise<readonly string[]> => (await store.list('')).objects.map(({ key }) => key);
  return { store, nowMs, left };
}

describe('sweepExpired', () => {
  it('deletes what the rules say is over, and nothing that counts', async () => {
    const old = [
      [pageKey(1), 14.1],
      ['v1/index/creates/default/a', 1.1],
      ['status/lease/a.json', 30.1],
      ['receipts/lease/a.json', 90.1],
    ] as const;
    const young = [
      [pageKey(2), 13.9],
      ['v1/index/creates/default/b', 0.9],
      ['status/lease/b.json', 29.9],
      ['receipts/lease/b.json', 89.9],
    ] as const;
    const forever = [
      ['v1/default/batches/b1/batch.json', 999],
      ['v1/default/files/f1/content', 999],
      ['inbox/lease/a.md', 999],
      ['outbox/lease/a/results.jsonl', 999],
    ] as const;
    const { store, nowMs, left } = await fill([...old, ...young, ...forever]);
    expect(await sweepExpired(store, { nowMs, tenant: 'default', pageBytes: 10_000 })).toBe(4);
    expect(await left()).toEqual([...young, ...forever].map(([key]) => key).toSorted());
  });

  it('keeps the newest pages within their budget', async () => {
    const keys = [3, 1, 4, 2, 5].map((ageDays) => [pageKey(ageDays), ageDays] as const);
    const { store, nowMs, left } = await fill([...keys, ['v1/default/batches/b1/batch.json', 9]]);
    expect(await sweepExpired(store, { nowMs, tenant: 'default', pageBytes: 299 })).toBe(3);
    expect(await left()).toEqual(['v1/default/batches/b1/batch.json', pageKey(1), pageKey(2)]);
    expect(await sweepExpired(store, { nowMs, tenant: 'default', pageBytes: 0 })).toBe(2);
  });

  it('goes through listings of many pages', async () => {
    const { store, nowMs, left } = await fill(Array.from({ length: 2_500 }, (_, index) => [pageKey(index), 20]));
    expect(await sweepExpired(store, { nowMs, tenant: 'default', pageBytes: 0 })).toBe(2_500);
    expect(await left()).toEqual([]);
  });
});
