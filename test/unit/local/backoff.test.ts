import { describe, expect, it } from 'vitest';
import { planBackoffMs } from '../../../src/local/backoff.ts';

describe('planBackoffMs', () => {
  it('doubles from 100 ms up to 5 s while lives are short', () => {
    const waits: number[] = [];
    for (let crash = 0, previous: number | null = null; crash < 9; crash += 1) {
      previous = planBackoffMs(previous, 9_999);
      waits.push(previous);
    }
    expect(waits).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
  });

  it('begins again after a life of 10 s', () => {
    expect(planBackoffMs(5_000, 10_000)).toBe(100);
  });
});
