import { describe, expect, it } from 'vitest';
import { compareRows, type EngineFigures, isFaster } from '../../../bench/peer/report.ts';

const figures = (rates: readonly number[], otherLoad = 0): EngineFigures =>
  new Map([['prefill-512', { id: 'prefill-512', rates, otherLoad }]]);

describe('compareRows', () => {
  it('takes the better setting of the peer and says what is missed', () => {
    const [row] = compareRows({
      machine: { rates: [], bandwidth: 1 },
      fast: figures([90, 110, 100]),
      exact: figures([70], 0.4),
      flash: figures([60, 80]),
      plain: figures([50]),
    });
    expect(row).toEqual([
      'prefill 512 tokens',
      '100.0 tok/s (90.0 – 110.0)',
      '70.0 tok/s (once, 40 % other load)',
      '30 % (at most 25)',
      '70.0 tok/s (60.0 – 80.0)',
      'on (else 50.0)',
      '1.43 ×',
      '≥ 1.5 ×, missed',
      '286 tok/s (1,024 tokens)',
    ]);
  });

  it('counts the other setting where one has ended, and compares nothing where both have', () => {
    const ended: EngineFigures = new Map([['prefill-512', { id: 'prefill-512', end: 'SIGABRT' }]]);
    const common = { machine: { rates: [], bandwidth: 1 }, fast: figures([100]), exact: figures([100]), flash: ended };
    const peerCells = (plain: EngineFigures) => compareRows({ ...common, plain })[0]?.slice(4, 8);
    expect(peerCells(figures([50]))).toEqual(['50.0 tok/s (once)', 'off (else ended: SIGABRT)', '2.00 ×', '≥ 1.5 ×']);
    expect(peerCells(ended)).toEqual(['ended: SIGABRT', 'on (else ended: SIGABRT)', '', '≥ 1.5 ×']);
  });

  it('says which setting of the peer was not measured', () => {
    const common = { machine: { rates: [], bandwidth: 1 }, fast: figures([100]), exact: figures([100]) };
    const none: EngineFigures = new Map();
    expect(compareRows({ ...common, flash: none, plain: figures([50]) })[0]?.[5]).toBe('off (else not measured)');
    expect(compareRows({ ...common, flash: figures([50]), plain: none })[0]?.[5]).toBe('on (else not measured)');
  });

  it('leaves out rows that were not measured', () => {
    const none: EngineFigures = new Map();
    const machine = { rates: [], bandwidth: 1 };
    expect(compareRows({ machine, fast: none, exact: none, flash: none, plain: none })).toEqual([]);
  });
});

describe('isFaster', () => {
  it('compares rows that both have, and prefers the setting that came to an end', () => {
    expect(isFaster(figures([60]), figures([50]))).toBe(true);
    expect(isFaster(figures([40]), figures([50]))).toBe(false);
    const ended: EngineFigures = new Map([['prefill-512', { id: 'prefill-512', end: 'SIGABRT' }]]);
    expect([isFaster(figures([40]), ended), isFaster(ended, figures([50]))]).toEqual([true, false]);
  });
});
