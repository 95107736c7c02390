import { describe, expect, it } from 'vitest';
import { ConcurrencyLimit } from '../../../../src/engine/kv/concurrency-limit.ts';
import { openGate } from './page-samples.ts';

/** A task that ends when told, and the order in which tasks began. */
function openTasks(total: number) {
  const began: number[] = [];
  const gates = Array.from({ length: total }, openGate);
  const task = (index: number) => async (): Promise<number> => {
    began.push(index);
    await gates[index]?.promise;
    return index;
  };
  return { began, gates, task };
}

/** Lets everything that is ready to go on do so. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('ConcurrencyLimit', () => {
  it('runs so many at a time, in order, and gives back what they give', async () => {
    const { began, gates, task } = openTasks(5);
    const limit = new ConcurrencyLimit(2);
    const all = [0, 1, 2, 3, 4].map((index) => limit.run(task(index)));
    await settle();
    expect(began).toEqual([0, 1]);
    gates[1]?.resolve();
    await settle();
    expect(began).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    expect(await Promise.all(all)).toEqual([0, 1, 2, 3, 4]);
    expect(began).toEqual([0, 1, 2, 3, 4]);
  });

  it('goes on after a task that fails', async () => {
    const limit = new ConcurrencyLimit(1);
    const failing = limit.run(() => Promise.reject(new Error('no')));
    const next = limit.run(async () => 'yes');
    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('yes');
    expect(await limit.run(async () => 'again')).toBe('again');
  });

  it('lets nobody take the place of one that waits', async () => {
    const { began, gates, task } = openTasks(3);
    const limit = new ConcurrencyLimit(1);
    const first = limit.run(task(0));
    const second = limit.run(task(1));
    gates[0]?.resolve();
    await first;
    const third = limit.run(task(2));
    await settle();
    expect(began).toEqual([0, 1]);
    for (const gate of gates) gate.resolve();
    await Promise.all([second, third]);
    expect(began).toEqual([0, 1, 2]);
  });
});
