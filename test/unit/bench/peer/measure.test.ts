import { describe, expect, it } from 'vitest';
import {
  type BenchEngine,
  decodeRate,
  keepQuiet,
  measureRows,
  type QuestionsTime,
  type RowFigures,
  wholeMs,
} from '../../../bench/peer/measure.ts';
import { benchRows } from '../../../bench/peer/rows.ts';

const quiet = () => ({ share: () => 0 });

const evenly = (startMs: number, stepMs: number, total: number): number[] =>
  Array.from({ length: total }, (_, index) => startMs + index * stepMs);

/** 16 answers of 64 tokens of which the row's share is written, evenly in the second half of the time. */
const answered = (ms: number, readMs: number | null): QuestionsTime => {
  const written = benchRows.flatMap(({ work }) => (work.type === 'questions' ? [work.writtenTokens] : []))[0] ?? 0;
  const stepMs = ms / 2 / 64;
  const tokenMs = Array.from({ length: 16 }, () => evenly(1000 + ms / 2 + stepMs, stepMs, written));
  return { startMs: 1000, tokenMs, readMs };
};

describe('wholeMs', () => {
  const work = {
    type: 'questions',
    questions: 2,
    documentTokens: 8192,
    questionTokens: 32,
    answerTokens: 64,
    writtenTokens: 64,
  } as const;

  it('is the time to the last token when all are written', () => {
    expect(wholeMs(work, { startMs: 5, tokenMs: [evenly(105, 10, 64), evenly(125, 10, 64)], readMs: null })).toBe(750);
  });

  it('adds the tokens that are not written, at the speed of those that are', () => {
    const tokenMs = [evenly(105, 10, 24), evenly(125, 10, 24)];
    // 40 more of each at 10 ms
    expect(wholeMs({ ...work, writtenTokens: 24 }, { startMs: 5, tokenMs, readMs: null })).toBeCloseTo(750, 6);
  });
});

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
      questions: async () => answered(2048, null),
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
      questions: async () => answered(1, null),
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
      questions: async () => answered(8192, 4096),
    };
    const rows = ['questions-16', 'prefill-8192'].flatMap((id) => benchRows.filter((row) => row.id === id));
    const figures: RowFigures[] = [];
    await measureRows(engine, rows, { mostRepeats: 2, rowMs: 60_000 }, (one) => figures.push(one), quiet);
    expect(figures.map(({ id, rates }) => [id, ...rates.map(Math.round)])).toEqual([
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
