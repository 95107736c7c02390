import { describe, expect, it } from 'vitest';
import { StoreTime } from '../../../src/batch/store-time.ts';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';
import { ManualClock } from './batch-world.ts';

function setUp() {
  const [ours, stores] = [new ManualClock(), new ManualClock()];
  const store = new CountingObjectStore(new MemoryObjectStore(() => stores.nowMs()));
  return { ours, stores, store, time: new StoreTime(store, ours) };
}

describe('StoreTime', () => {
  it('asks nothing while our own clock says no', async () => {
    const { time, ours, store } = setUp();
    expect(await time.isPast(ours.nowMs() + 1)).toBe(false);
    expect(store.counts.calls).toBe(0);
  });

  it('believes the store when our clock jumped ahead, and knows it from then on', async () => {
    const { time, ours, stores, store } = setUp();
    const endMs = ours.nowMs() + 3_600_000;
    ours.advance(86_400_000);
    expect(await time.isPast(endMs)).toBe(false);
    store.reset();
    expect(await time.isPast(endMs)).toBe(false);
    expect(store.counts.calls).toBe(0);
    stores.advance(3_600_000);
    ours.advance(3_600_000);
    expect(await time.isPast(endMs)).toBe(true);
  });

  it('notices a clock that was set back at the next look', async () => {
    const { time, ours, stores } = setUp();
    await time.check();
    const endMs = stores.nowMs() + 10_000;
    ours.advance(-86_400_000);
    stores.advance(10_000);
    expect(await time.isPast(endMs)).toBe(false);
    await time.check();
    expect(await time.isPast(endMs)).toBe(true);
  });

  it('looks once a minute', async () => {
    const { time, ours, stores, store } = setUp();
    for (let second = 0; second < 121; second++) {
      await time.check();
      ours.advance(1_000);
      stores.advance(1_000);
    }
    expect(store.counts.byOperation).toEqual({ put: 3, head: 3 });
  });

  it('takes less than two seconds for the same', async () => {
    const { time, ours, stores } = setUp();
    stores.advance(-999);
    await time.check();
    expect(time.nowMs()).toBe(ours.nowMs());
  });
});
