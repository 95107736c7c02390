import type { AnswerState } from '../answer-state.ts';

/** Of a sequence that decodes, what guesses are made from. */
export interface DraftSource {
  readonly tenant: string;
  /** Prompt and answer so far. */
  readonly tokens: readonly number[];
  readonly promptTokens: number;
  /** Of all tokens, the last ones whose rows are computed in the coming run. */
  readonly pendingTotal: number;
  readonly answer: Pick<AnswerState, 'remainingTokens'>;
}

/** A run that is about to be made. */
export interface DraftRun<Source extends DraftSource> {
  readonly members: readonly Source[];
  /** Rows that each new one reads, of the longest member. */
  readonly readRows: number;
}

/** What became of a member's draft. */
export interface DraftOutcome {
  readonly drafted: number;
  /** Tokens of it that were drawn, from its first on. */
  readonly accepted: number;
  /**
   * `differed`: another token was drawn than the one behind them; `open`: nobody knows, because all were right or the
   * answer ended; `spoiled`: its rows made those before it unusable, and nothing was drawn.
   */
  readonly end: 'differed' | 'open' | 'spoiled';
}

/**
 * Guesses at tokens to come, so that one run may verify several. A wrong guess costs time, never an answer: what is
 * drawn does not depend on what was guessed.
 */
export interface Drafter<Source extends DraftSource> {
  /** Of each member, tokens that may follow those it has, none where a guess does not pay. */
  draft(run: DraftRun<Source>): readonly (readonly number[])[];
  /**
   * @param outcomes in the order of the members of the run
   * @param rows computed of all members, padding included
   */
  learn(run: DraftRun<Source>, outcomes: readonly DraftOutcome[], rows: number, ms: number): void;
  /** Its answer is whole: later ones of the tenant may be like it. */
  remember(source: Source): void;
}

export const noDrafts: Drafter<DraftSource> = {
  draft: ({ members }) => members.map(() => []),
  learn: () => {},
  remember: () => {},
};
