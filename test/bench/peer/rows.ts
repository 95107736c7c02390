/** The work that both engines do, and what quire is to reach. Lengths are in tokens and count the prompt's format. */

export interface PrefillRow {
  readonly type: 'prefill';
  readonly promptTokens: number;
}

export interface DecodeRow {
  readonly type: 'decode';
  readonly sequences: number;
  /** Shared by all of them, read before the clock starts; 0: nothing is shared. */
  readonly prefixTokens: number;
  /** Of each sequence, behind the prefix. */
  readonly ownTokens: number;
  readonly answerTokens: number;
}

/** From nothing to the last answer: one document, questions about it. */
export interface QuestionsRow {
  readonly type: 'questions';
  readonly questions: number;
  readonly documentTokens: number;
  readonly questionTokens: number;
  readonly answerTokens: number;
  /** So many of an answer's tokens are written; the time of the others is reckoned from the speed of these. */
  readonly writtenTokens: number;
}

export type Work = PrefillRow | DecodeRow | QuestionsRow;

export interface BenchRow {
  readonly id: RowId;
  readonly title: string;
  readonly work: Work;
  /** Least ratio to node-llama-cpp with `reproducible` off. */
  readonly goal: number;
  /** The same to native llama.cpp. */
  readonly nativeGoal: number;
  /** Of native llama.cpp, as `design.md` gives it for a model of the shape of B; null: not given. */
  readonly citedNative: string | null;
}

export const rowIds = [
  'prefill-512',
  'prefill-8192',
  'decode-1',
  'decode-1-behind-8192',
  'decode-8-shared',
  'decode-32-shared',
  'decode-8-own',
  'questions-16',
] as const;
export type RowId = (typeof rowIds)[number];

const decode = (sequences: number, prefixTokens: number, ownTokens: number, answerTokens: number): DecodeRow => ({
  type: 'decode',
  sequences,
  prefixTokens,
  ownTokens,
  answerTokens,
});

export const benchRows: readonly BenchRow[] = [
  {
    id: 'prefill-512',
    title: 'prefill 512 tokens',
    work: { type: 'prefill', promptTokens: 512 },
    goal: 1.5,
    nativeGoal: 1.5,
    citedNative: '286 tok/s (1,024 tokens)',
  },
  {
    id: 'prefill-8192',
    title: 'prefill 8,192 tokens',
    work: { type: 'prefill', promptTokens: 8192 },
    goal: 2,
    nativeGoal: 1.7,
    citedNative: null,
  },
  {
    id: 'decode-1',
    title: 'decode, 1 sequence',
    work: decode(1, 0, 64, 64),
    goal: 2,
    nativeGoal: 1.1,
    citedNative: '82 tok/s (prefix 1,024)',
  },
  {
    id: 'decode-1-behind-8192',
    title: 'decode, 1 sequence behind a prefix of 8,192',
    work: decode(1, 8192, 32, 64),
    goal: 3,
    nativeGoal: 1.5,
    citedNative: null,
  },
  {
    id: 'decode-8-shared',
    title: 'decode, 8 sequences on one prefix of 1,024',
    work: decode(8, 1024, 32, 32),
    goal: 2,
    nativeGoal: 1.5,
    citedNative: '151 tok/s',
  },
  {
    id: 'decode-32-shared',
    title: 'decode, 32 sequences on one prefix of 1,024',
    work: decode(32, 1024, 32, 24),
    goal: 2,
    nativeGoal: 2,
    citedNative: '202 tok/s',
  },
  {
    id: 'decode-8-own',
    title: 'decode, 8 sequences, 2,048 own tokens each',
    // some begin while the last are being read
    work: decode(8, 0, 2048, 40),
    goal: 1.5,
    nativeGoal: 1,
    citedNative: null,
  },
  {
    id: 'questions-16',
    title: '16 questions × 64 tokens, one document of 8,192, cold',
    work: {
      type: 'questions',
      questions: 16,
      documentTokens: 8192,
      questionTokens: 32,
      answerTokens: 64,
      writtenTokens: 14,
    },
    goal: 4,
    nativeGoal: 2,
    citedNative: null,
  },
];

/** All answers to their ends, which takes minutes more. */
export function writeWhole(row: BenchRow): BenchRow {
  const { work } = row;
  return work.type === 'questions' ? { ...row, work: { ...work, writtenTokens: work.answerTokens } } : row;
}

/** Long documents last, and of rows with one document first what leaves it behind for the others. */
export const measureOrder: readonly RowId[] = [
  'prefill-512',
  'decode-1',
  'decode-32-shared',
  'decode-8-shared',
  'decode-8-own',
  'questions-16',
  'decode-1-behind-8192',
  'prefill-8192',
];

/** A few seconds each: measured with both settings of the peer. */
export const shortRows: readonly RowId[] = ['prefill-512', 'decode-1', 'decode-8-shared'];
/** Those that attend to many tokens, as the other rows do: they tell which setting those are measured with. */
export const choiceRows: readonly RowId[] = ['prefill-512', 'decode-8-shared'];
