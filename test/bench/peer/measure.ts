import { OtherLoad } from './other-load.ts';
import type { BenchRow, DecodeRow, PrefillRow, QuestionsRow, RowId, Work } from './rows.ts';

/** What the measurements need of an engine. Prompts of one `round` share nothing with those of another. */
export interface BenchEngine {
  /** Milliseconds from an unknown prompt to its first token. */
  prefill(work: PrefillRow, round: number): Promise<number>;
  /** When each token of each sequence came, in milliseconds. */
  decode(work: DecodeRow, round: number): Promise<readonly (readonly number[])[]>;
  questions(work: QuestionsRow, round: number): Promise<QuestionsTime>;
}

export interface QuestionsTime {
  /** When the unknown document was given, in milliseconds. */
  readonly startMs: number;
  /** When each written token of each answer came. */
  readonly tokenMs: readonly (readonly number[])[];
  /** Those of the document; null: not known. */
  readonly readMs: number | null;
}

export interface RowFigures {
  readonly id: RowId;
  /** Tokens a second of each repetition that counts. */
  readonly rates: readonly number[];
  /** Most that other programs used of the machine in one of them, 0 to 1. */
  readonly otherLoad: number;
}

/** The engine's process ended in it. */
export interface RowEnd {
  readonly id: RowId;
  /** A signal, an exit code, or that the time was over. */
  readonly end: string;
}

export type RowResult = RowFigures | RowEnd;

export interface Sample {
  readonly rate: number;
  readonly otherLoad: number;
}

/** A repetition with more than this beside it counts only if there is no better one. */
const quietLoad = 0.1;

export interface MeasureLimits {
  readonly mostRepeats: number;
  /** No further repetition once a row has taken so long. */
  readonly rowMs: number;
}

/**
 * Measures rows one after the other, each as often as its limits allow and at least once. A document that was read by
 * itself within other work is not read again for its prefill.
 */
export async function measureRows(
  engine: BenchEngine,
  rows: readonly BenchRow[],
  limits: MeasureLimits,
  onRow: (figures: RowFigures) => void,
  watchOthers: () => { share(): number } = () => new OtherLoad(),
): Promise<void> {
  const readings = new Map<number, Sample[]>();
  let round = 1;
  for (const { id, work } of rows) {
    const known = work.type === 'prefill' ? readings.get(work.promptTokens) : undefined;
    const samples: Sample[] = known ?? [];
    const startMs = performance.now();
    while (samples.length === 0 || (known === undefined && isTimeLeft(limits, samples.length, startMs))) {
      const others = watchOthers();
      const { rate, reading } = await measureOnce(engine, work, round++);
      const otherLoad = others.share();
      samples.push({ rate, otherLoad });
      if (reading === undefined) continue;
      readings.set(reading.tokens, [...(readings.get(reading.tokens) ?? []), { rate: reading.rate, otherLoad }]);
    }
    onRow({ id, ...keepQuiet(samples) });
  }
}

function isTimeLeft({ mostRepeats, rowMs }: MeasureLimits, repeats: number, startMs: number): boolean {
  return repeats < mostRepeats && performance.now() - startMs < rowMs;
}

interface Measured {
  /** Tokens a second. */
  readonly rate: number;
  /** Of a document that was read by itself on the way. */
  readonly reading?: { readonly tokens: number; readonly rate: number };
}

async function measureOnce(engine: BenchEngine, work: Work, round: number): Promise<Measured> {
  switch (work.type) {
    case 'prefill':
      return { rate: (1000 * work.promptTokens) / (await engine.prefill(work, round)) };
    case 'decode':
      return { rate: decodeRate(await engine.decode(work, round)) };
    case 'questions': {
      const time = await engine.questions(work, round);
      const { readMs } = time;
      const rate = (1000 * work.questions * work.answerTokens) / wholeMs(work, time);
      if (readMs === null) return { rate };
      return { rate, reading: { tokens: work.documentTokens, rate: (1000 * work.documentTokens) / readMs } };
    }
  }
}

/** Leaves out repetitions that other programs disturbed, unless all were. */
export function keepQuiet(samples: readonly Sample[]): Pick<RowFigures, 'rates' | 'otherLoad'> {
  const quiet = samples.filter(({ otherLoad }) => otherLoad <= quietLoad);
  const kept = quiet.length > 0 ? quiet : samples;
  return { rates: kept.map(({ rate }) => rate), otherLoad: Math.max(...kept.map(({ otherLoad }) => otherLoad)) };
}

/** From an unknown document to the last token of the last answer; tokens not written take as long as those that were. */
export function wholeMs({ questions, answerTokens, writtenTokens }: QuestionsRow, time: QuestionsTime): number {
  const passedMs = Math.max(...time.tokenMs.flat()) - time.startMs;
  const left = questions * (answerTokens - writtenTokens);
  return left === 0 ? passedMs : passedMs + (1000 * left) / decodeRate(time.tokenMs, writtenTokens / 3);
}

/** A window in which fewer tokens came says too little. */
const leastTokens = 16;

/**
 * Tokens a second while all sequences decode: from the last one's first token to the first one's last.
 * @param tokenMs when each token of each sequence came
 * @param least tokens of each, or the window says too little
 */
export function decodeRate(tokenMs: readonly (readonly number[])[], least = leastTokens): number {
  const startMs = Math.max(...tokenMs.map((times) => times[0] ?? Number.POSITIVE_INFINITY));
  const endMs = Math.min(...tokenMs.map((times) => times.at(-1) ?? Number.NEGATIVE_INFINITY));
  const tokens = tokenMs.flat().filter((ms) => ms > startMs && ms <= endMs).length;
  if (tokens < least * tokenMs.length) {
    const what = `only ${tokens} tokens came while all ${tokenMs.length} sequences decoded`;
    throw new Error(`${what}, wanted at least ${least} of each: ask for longer answers`);
  }
  return (1000 * tokens) / (endMs - startMs);
}
