import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expOf } from '../../../../src/engine/sample/exp.ts';

describe('expOf', () => {
  it('is within two units of the last place of e^x', () => {
    const check = (x: number): void => {
      const exact = Math.exp(x);
      // Math.exp may be off by one itself
      expect(Math.abs(expOf(x) - exact)).toBeLessThanOrEqual(exact * 3 * 2 ** -52);
    };
    fc.assert(fc.property(fc.double({ min: -708, max: 0, noNaN: true }), check), { seed: 1, numRuns: 5_000 });
    fc.assert(fc.property(fc.double({ min: -40, max: 0, noNaN: true }), check), { seed: 2, numRuns: 5_000 });
    for (let step = 0; step <= 64 * 1000; step += 13) check((-step * Math.LN2) / 64);
  });

  it('is exact at both ends', () => {
    expect([0, -0, -1e-300, -708.1, Number.NEGATIVE_INFINITY].map(expOf)).toEqual([1, 1, 1, 0, 0]);
  });
});
