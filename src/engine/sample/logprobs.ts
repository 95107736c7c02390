import { invariant } from '../../base/invariant.ts';
import { expOf } from './exp.ts';

/** A token with the natural logarithm of its probability. */
export interface IdLogprob {
  readonly id: number;
  readonly logprob: number;
}

/** Stands for the logarithm of 0, which JSON has no number for, as in OpenAI's API. */
const leastLogprob = -9999;

export const maxTopLogprobs = 20;

/**
 * Log-probabilities of one step under the model itself. Logits are overwritten by masks and penalties, so the step is
 * captured before them and read when the token is known.
 */
export class StepLogprobs {
  readonly #topTotal: number;
  #logits = new Float32Array(0);

  /** @param topTotal how many of the likeliest tokens are reported, 0 to 20 */
  constructor(topTotal: number) {
    invariant(topTotal >= 0 && topTotal <= maxTopLogprobs, `${topTotal} top log-probabilities were asked for`);
    this.#topTotal = topTotal;
  }

  capture(logits: Float32Array): void {
    if (this.#logits.length !== logits.length) this.#logits = new Float32Array(logits.length);
    this.#logits.set(logits);
  }

  /** Of the chosen token, and of the likeliest ones, best first, the lower id of equals before the other. */
  read(id: number): { readonly chosen: IdLogprob; readonly top: readonly IdLogprob[] } {
    const logits = this.#logits;
    const logTotal = logSumExp(logits);
    const measure = (token: number): IdLogprob => ({
      id: token,
      logprob: Math.max(logits[token]! - logTotal, leastLogprob),
    });
    return { chosen: measure(id), top: findTop(logits, this.#topTotal).map(measure) };
  }
}

/** In float64, relative to the highest logit so that nothing overflows. */
function logSumExp(logits: Float32Array): number {
  let top = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) if (logits[id]! > top) top = logits[id]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += expOf(logits[id]! - top);
  return top + Math.log(sum);
}

/** Kept sorted while it fills; most tokens fail at the first comparison. */
function findTop(logits: Float32Array, total: number): readonly number[] {
  const top: number[] = [];
  if (total === 0) return top;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (top.length === total && !(logit > logits[top[total - 1]!]!)) continue;
    let place = top.length;
    while (place > 0 && logit > logits[top[place - 1]!]!) place--;
    top.splice(place, 0, id);
    if (top.length > total) top.pop();
  }
  return top;
}
