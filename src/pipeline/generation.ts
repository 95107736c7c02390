import type { GenerateResult } from '../engine/index.ts';

/** What an answer cost beyond its tokens: tries that were lost with an engine process. */
export interface Effort {
  /** Tries, the one that gave the answer included. */
  readonly attempts: number;
  /** Completion tokens taken over from lost tries; null: none was taken over. */
  readonly resumedFrom: number | null;
  /** `exact`: the same bits as without the loss; `tokens`: no token lost, bits may differ. */
  readonly resumed: 'exact' | 'tokens' | null;
  /** Completion tokens that were written, lost, and had to be computed again. */
  readonly wastedTokens: number;
}

/** One answer: what the caller sees of it, and all engine requests behind it. */
export interface Generation {
  readonly result: GenerateResult;
  /** Turns before it that called tools, in order. */
  readonly earlier: readonly GenerateResult[];
  /** The second request, made because the first answer broke its schema; null: none was made, or it came to nothing. */
  readonly repair: { readonly result: GenerateResult; readonly isMended: boolean } | null;
  readonly effort: Effort;
}

/** The answers of one line, in the order of their choices. */
export type Generations = readonly [Generation, ...Generation[]];

/** Of requests that made one answer, or of answers that made one line. */
export function joinEfforts(efforts: readonly Effort[]): Effort {
  const resumed = efforts.flatMap(({ resumedFrom }) => (resumedFrom === null ? [] : [resumedFrom]));
  const kinds = efforts.map((effort) => effort.resumed);
  return {
    attempts: Math.max(...efforts.map(({ attempts }) => attempts)),
    resumedFrom: resumed.length === 0 ? null : sum(resumed),
    resumed: kinds.includes('tokens') ? 'tokens' : kinds.includes('exact') ? 'exact' : null,
    wastedTokens: sum(efforts.map(({ wastedTokens }) => wastedTokens)),
  };
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
