import type { EngineStats } from '../../src/engine/index.ts';

/** What lines of this worker went through, since it started. */
export interface ResumeFigures {
  /** Answers that went on from a checkpoint, with the same bits as without it or only with the same tokens. */
  readonly exact: number;
  readonly tokens: number;
  /** Completion tokens that were written, lost, and computed again. */
  readonly wastedTokens: number;
  /** Checkpoints that were named and could not be used. */
  readonly lostCheckpoints: number;
}

export class ResumeCounts {
  #figures: ResumeFigures = { exact: 0, tokens: 0, wastedTokens: 0, lostCheckpoints: 0 };

  get figures(): ResumeFigures {
    return this.#figures;
  }

  /** @param body of a finished line */
  countAnswer(body: Readonly<Record<string, unknown>>): void {
    const { resumed, wasted_tokens: wasted } = (body['ext'] ?? {}) as Readonly<Record<string, unknown>>;
    const { exact, tokens, wastedTokens } = this.#figures;
    this.#figures = {
      ...this.#figures,
      exact: exact + (resumed === 'exact' ? 1 : 0),
      tokens: tokens + (resumed === 'tokens' ? 1 : 0),
      wastedTokens: wastedTokens + (typeof wasted === 'number' ? wasted : 0),
    };
  }

  countLost(): void {
    this.#figures = { ...this.#figures, lostCheckpoints: this.#figures.lostCheckpoints + 1 };
  }

  /** What the worker says of its engine, and of its lines beside it. */
  addTo(stats: EngineStats | null): (EngineStats & { readonly resumes: ResumeFigures }) | null {
    return stats === null ? null : { ...stats, resumes: this.#figures };
  }
}
