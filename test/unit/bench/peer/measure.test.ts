import { describe, expect, it } from 'vitest';
import { type BenchEngine, decodeRate, keepQuiet, measureRows, type RowFigures } from '../../../bench/peer/measure.ts';
import { benchRows } from '../../../bench/peer/rows.ts';

const quiet = () => ({ share: () => 0 });

const evenly = (startMs: number, stepMs: number, total: number): number[] =>
  Array.from({ length: total }, (_, index) => startMs + index * stepMs);

describe('decodeRate', () => {
  it('counts the tokens that come while all sequences decode', () => {
    expect(decodeRate([evenly(0, 10, 65)])).toBeCloseTo(100, 6);
    // from 200 ms, when the second begins, to 640 ms, when the first ends
    expect(decodeRate([evenly(0, 10, 65), evenly(200, 10, 65)])).toBeCloseTo(200, 6);
  });

  it('rejects a window that says too little', () => {
    expect(() => decodeRate([evenly(0, 10, 65), evenly(500, 10, 65)])).toThrow(
      'only 28 tokens came while all 2 sequences decoded, wanted at least 16 of each: ask for longer answers',
    );
  });
});

describe('measureRows', () => {
  it('repeats a row until it has been measured often enough, in tokens a second', async () => {
    const rounds: number[] = [];
    const engine: BenchEngine = {
      prefill: async (_, round) => {
        rounds.push(round);
        return 256;
      },
      decode: async () => [evenly(0, 10, 65)],
      questions: async () => ({ ms: 2048, readMs: null }),
    };
    const rows = benchRows.filter(({ id }) => ['prefill-512', 'decode-1', 'questions-16'].includes(id));
    const figures: RowFigures[] = [];
    await measureRows(engine, rows, { mostRepeats: 3, rowMs: 60_000 }, (one) => figures.push(one), quiet);
    expect(figures.map(({ id, rates }) => [id, ...rates.map(Math.round)])).toEqual([
      ['prefill-512', 2000, 2000, 2000],
      ['decode-1', 100, 100, 100],
      ['questions-16', 500, 500, 500],
    ]);
    // no round finds what another has read
    expect(new Set(rounds).size).toBe(3);
  });

  it('measures a row that takes long only once', async () => {
    const engine: BenchEngine = {
      prefill: async () => 1,
      decode: async () => [],
      questions: async () => ({ ms: 1, readMs: null }),
    };
    const figures: RowFigures[] = [];
    await measureRows(engine, benchRows.slice(0, 1), { mostRepeats: 5, rowMs: 0 }, (one) => figures.push(one), quiet);
    expect(figures[0]?.rates.length).toBe(1);
  });
});

describe('measureRows with an engine that reads documents by themselves', () => {
  it('takes the prefill of that length from there', async () => {
    let prefills = 0;
    const engine: BenchEngine = {
      prefill: async () => ++prefills,
      decode: async () => [],
      questions: async () => ({ ms: 8192, readMs: 4096 }),
    };
    const rows = ['questions-16', 'prefill-8192'].flatMap((id) => benchRows.filter((row) => row.id === id));
    const figures: RowFigures[] = [];
    await measureRows(engine, rows, { mostRepeats: 2, rowMs: 60_000 }, (one) => figures.push(one), quiet);
    expect(figures.map(({ id, rates }) => [id, ...rates])).toEqual([
      ['questions-16', 125, 125],
      ['prefill-8192', 2000, 2000],
    ]);
    expect(prefills).toBe(0);
  });
});

describe('keepQuiet', () => {
  it('leaves out repetitions that other programs disturbed, unless all were', () => {
    const [undisturbed, disturbed] = [
      { rate: 100, otherLoad: 0.02 },
      { rate: 40, otherLoad: 0.5 },
    ];
    expect(keepQuiet([disturbed, undisturbed, disturbed])).toEqual({ rates: [100], otherLoad: 0.02 });
    expect(keepQuiet([disturbed, { rate: 50, otherLoad: 0.3 }])).toEqual({ rates: [40, 50], otherLoad: 0.5 });
  });
});
