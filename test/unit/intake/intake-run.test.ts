import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { IntakeWorld } from './intake-world.ts';

describe('the loop of an intake', () => {
  it('lists, tends and adopts by itself, lives through an outage, and ends when told', async () => {
    const world = new IntakeWorld();
    // every sleep moves the clock; this lets everything else have its turn
    const sleep = world.clock.sleep.bind(world.clock);
    world.clock.sleep = async (ms, signal) => {
      await setImmediate();
      return sleep(ms, signal);
    };
    const store = world.watchStore();
    let isAway = true;
    store.beforeRead = () => {
      if (isAway) throw new AppError('transient.store-unreachable', 'away');
    };
    const stop = new AbortController();
    const running = world.startIntake(store).run(stop.signal);
    const until = async (isDone: () => Promise<boolean>): Promise<void> => {
      for (let turn = 0; turn < 2_000; turn++) {
        if (await isDone()) return;
        await setImmediate();
      }
      throw new Error('it did not happen');
    };
    await world.drop('inbox/a/x.md', 'text');
    for (let turn = 0; turn < 100; turn++) await setImmediate();
    isAway = false;
    await until(async () => (await world.batchesOf()).length === 1);
    await world.runBatches();
    await until(async () => (await world.outboxOf('inbox/a/x.md')).manifest !== undefined);
    await until(async () => (await world.openMarkers()) === 0);
    stop.abort();
    await running;
    expect((await world.outboxOf('inbox/a/x.md')).status?.status).toBe('completed');
  });
});
