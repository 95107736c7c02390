import { describe, expect, it } from 'vitest';
import { retryWaitMs } from '../../../src/queue/retry-policy.ts';

describe('retryWaitMs', () => {
  it('doubles from 100 ms and stays at 5 s', () => {
    const waits = [1, 2, 3, 6, 7, 1_000].map((attempts) => retryWaitMs(attempts, () => 0));
    expect(waits).toEqual([100, 200, 400, 3_200, 5_000, 5_000]);
  });

  it('shortens a wait by up to a half', () => {
    expect(retryWaitMs(1_000, () => 0.5)).toBe(3_750);
    expect(retryWaitMs(1_000, () => 1)).toBe(2_500);
  });
});
