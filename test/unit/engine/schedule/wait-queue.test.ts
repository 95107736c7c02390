import { describe, expect, it } from 'vitest';
import { WaitQueue } from '../../../../src/engine/schedule/wait-queue.ts';

const item = (arrival: number, prefixKey: string, priority = 1) => ({ arrival, prefixKey, priority, deadlineMs: null });

function drain(queue: WaitQueue<ReturnType<typeof item>>, warm: string | null, most = 1000): number[] {
  const order: number[] = [];
  while (order.length < most) {
    const next = queue.peek((key) => key === warm);
    if (next === undefined) break;
    queue.take(next);
    order.push(next.arrival);
  }
  return order;
}

describe('WaitQueue', () => {
  it('is first in, first out, but for priority', () => {
    const queue = new WaitQueue<ReturnType<typeof item>>();
    for (const one of [item(2, 'a'), item(1, 'b'), item(3, 'a', 0)]) queue.push(one);
    expect(drain(queue, null)).toEqual([3, 1, 2]);
    expect(queue.size).toBe(0);
  });

  it('lets requests with a warm prefix go first among equals', () => {
    const queue = new WaitQueue<ReturnType<typeof item>>();
    for (const one of [item(1, 'cold'), item(2, 'warm'), item(3, 'warm'), item(4, 'cold', 0)]) queue.push(one);
    expect(drain(queue, 'warm')).toEqual([4, 2, 3, 1]);
  });

  it('gives the oldest its turn after 64 that were warm', () => {
    const queue = new WaitQueue<ReturnType<typeof item>>();
    queue.push(item(0, 'cold'));
    for (let arrival = 1; arrival <= 100; arrival++) queue.push(item(arrival, 'warm'));
    expect(drain(queue, 'warm').indexOf(0)).toBe(64);
  });

  it('takes out what is no longer wanted', () => {
    const queue = new WaitQueue<ReturnType<typeof item>>();
    const [one, other] = [item(1, 'a'), item(2, 'a')];
    queue.push(one);
    expect([queue.remove(other), queue.remove(one), queue.size]).toEqual([false, true, 0]);
  });
});
