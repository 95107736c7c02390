import type { SamplingOptions } from '../messages.ts';

type Adjustments = Pick<SamplingOptions, 'logitBias' | 'presencePenalty' | 'frequencyPenalty' | 'repetitionPenalty'>;

/**
 * What is done to raw logits before anything else, in this order: bias; repetition penalty on every token that prompt
 * or answer have; frequency and presence penalty on tokens of the answer. Only those tokens' logits are touched.
 */
export class LogitAdjuster {
  readonly #options: Adjustments;
  /** Tokens of the answer with how often it has them. */
  readonly #counts = new Map<number, number>();
  /** Those of prompt and answer; empty when they are not penalised. */
  readonly #seen: Set<number>;
  readonly #isNeutral: boolean;

  constructor(options: Adjustments, promptIds: Iterable<number>) {
    this.#options = options;
    const { logitBias, presencePenalty, frequencyPenalty, repetitionPenalty } = options;
    this.#seen = new Set(repetitionPenalty === 1 ? [] : promptIds);
    this.#isNeutral =
      (logitBias ?? []).length === 0 && presencePenalty === 0 && frequencyPenalty === 0 && repetitionPenalty === 1;
  }

  /** A token of the answer. */
  count(id: number): void {
    if (this.#isNeutral) return;
    this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
    if (this.#options.repetitionPenalty !== 1) this.#seen.add(id);
  }

  /** In place. Excluded tokens stay excluded. */
  adjust(logits: Float32Array): void {
    if (this.#isNeutral) return;
    const { logitBias, presencePenalty, frequencyPenalty, repetitionPenalty } = this.#options;
    for (const [id, bias] of logitBias ?? []) logits[id] = logits[id]! + bias;
    for (const id of this.#seen) {
      const logit = logits[id]!;
      logits[id] = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    }
    if (presencePenalty === 0 && frequencyPenalty === 0) return;
    for (const [id, count] of this.#counts) {
      logits[id] = logits[id]! - frequencyPenalty * count - presencePenalty;
    }
  }
}
