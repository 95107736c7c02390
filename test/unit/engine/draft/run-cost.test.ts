import { describe, expect, it } from 'vitest';
import { RunCost } from '../../../../src/engine/draft/run-cost.ts';

describe('RunCost', () => {
  it('believes in something before it has measured anything', () => {
    const cost = new RunCost();
    cost.note(1, 0);
    cost.note(1, Number.NaN);
    expect(cost.of(5) / cost.of(1)).toBeCloseTo(2.25 / 1.25);
  });

  it.each([
    { fixed: 10, row: 0.1 },
    { fixed: 2, row: 3 },
  ])('learns what runs cost: %j', ({ fixed, row }) => {
    const cost = new RunCost();
    for (let round = 0; round < 60; round++) {
      const rows = 1 + (round % 4) * 3;
      cost.note(rows, fixed + row * rows);
    }
    for (const rows of [1, 8, 16]) expect(cost.of(rows) / (fixed + row * rows)).toBeCloseTo(1, 1);
  });

  it('keeps the shape it believes in while all runs have the same rows', () => {
    const cost = new RunCost();
    for (let round = 0; round < 50; round++) cost.note(1, 40);
    expect(cost.of(1)).toBeCloseTo(40);
    expect(cost.of(5) / cost.of(1)).toBeCloseTo(2.25 / 1.25);
  });

  it('is not thrown off by a run that was held up', () => {
    const cost = new RunCost();
    for (let round = 0; round < 40; round++) cost.note(1 + (round % 5), 10 + (round % 5));
    const before = cost.of(4) / cost.of(1);
    cost.note(3, 60_000);
    const after = cost.of(4) / cost.of(1);
    expect(Math.abs(after / before - 1)).toBeLessThan(0.15);
  });

  it('stays above 0 and grows with the rows, whatever it is told', () => {
    const cost = new RunCost();
    for (let round = 0; round < 50; round++) cost.note(1 + (round % 9), 100 / (1 + (round % 9)));
    for (let rows = 1; rows < 64; rows++) {
      expect(cost.of(rows)).toBeGreaterThan(0);
      expect(cost.of(rows + 1)).toBeGreaterThan(cost.of(rows));
    }
  });
});
