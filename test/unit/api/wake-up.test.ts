import { describe, expect, it } from 'vitest';
import { lookUntilFound } from '../../../src/api/wake-up.ts';
import { FakeBus } from '../../support/fake-queue.ts';
import { lineDelta } from '../../support/line-news.ts';

/** A clock whose sleeps end by hand or by their signal. */
function handClock() {
  const waits: { readonly ms: number; readonly end: () => void }[] = [];
  return {
    waits,
    nowMs: () => 0,
    sleep: (ms: number, signal?: AbortSignal): Promise<void> =>
      new Promise((resolve, reject) => {
        waits.push({ ms, end: resolve });
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      }),
  };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

describe('lookUntilFound', () => {
  it('does not wait for what is there already', async () => {
    const clock = handClock();
    const bus = new FakeBus();
    await expect(lookUntilFound({ bus, clock, pollMs: 100 }, 'b', async () => 7, never)).resolves.toBe(7);
    expect(clock.waits).toEqual([]);
    expect(bus.listenerTotal).toBe(0);
  });

  it('looks again after an event about its batch, not after others', async () => {
    const clock = handClock();
    const bus = new FakeBus();
    let looks = 0;
    const found = lookUntilFound(
      { bus, clock, pollMs: 100 },
      'b',
      async () => (++looks === 2 ? looks : undefined),
      never,
    );
    await settle();
    await bus.publish({ type: 'unit-end', batchId: 'other', unitId: 'u' });
    await bus.publish(lineDelta('b', 1, { content: { at: 0, text: 'x' } }));
    await settle();
    expect(looks).toBe(1);
    await bus.publish({ type: 'unit-end', batchId: 'b', unitId: 'u' });
    await expect(found).resolves.toBe(2);
  });

  it('looks again at once when an event came during the look', async () => {
    const clock = handClock();
    const bus = new FakeBus();
    let looks = 0;
    const look = async (): Promise<number | undefined> => {
      looks += 1;
      if (looks === 1) await bus.publish({ type: 'unit-segment', batchId: 'b', unitId: 'u' });
      return looks === 2 ? looks : undefined;
    };
    await expect(lookUntilFound({ bus, clock, pollMs: 100 }, 'b', look, never)).resolves.toBe(2);
    expect(clock.waits).toEqual([]);
  });

  it('waits twice as long each time, up to four times', async () => {
    const clock = handClock();
    const stop = new AbortController();
    const found = lookUntilFound({ bus: new FakeBus(), clock, pollMs: 100 }, 'b', async () => undefined, stop.signal);
    for (let round = 0; round < 4; round++) {
      await settle();
      clock.waits.at(-1)?.end();
    }
    await settle();
    expect(clock.waits.map(({ ms }) => ms)).toEqual([100, 200, 400, 400, 400]);
    stop.abort(new Error('enough'));
    await expect(found).rejects.toThrow('enough');
  });

  it('stops with the reason of its signal, also when it is aborted before the first look', async () => {
    const deps = { bus: new FakeBus(), clock: handClock(), pollMs: 100 };
    await expect(lookUntilFound(deps, 'b', async () => 1, AbortSignal.abort(new Error('gone')))).rejects.toThrow(
      'gone',
    );
    expect(deps.bus.listenerTotal).toBe(0);
  });

  it('passes on what the look throws', async () => {
    const deps = { bus: new FakeBus(), clock: handClock(), pollMs: 100 };
    const look = () => Promise.reject(new Error('store is away'));
    await expect(lookUntilFound(deps, 'b', look, never)).rejects.toThrow('store is away');
    expect(deps.bus.listenerTotal).toBe(0);
  });
});
