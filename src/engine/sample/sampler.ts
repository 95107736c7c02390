import { invariant } from '../../base/invariant.ts';
import type { SamplingOptions } from '../messages.ts';
import type { Sampler } from '../ports.ts';
import { LogitAdjuster } from './adjust-logits.ts';
import { checkSamplingOptions } from './check-options.ts';
import { expOf } from './exp.ts';
import { type Border, findBorder, isWithin, noBorder } from './likeliest.ts';
import { SeededRandom } from './random.ts';

/** Beside the options. */
export interface SamplerContext {
  /** Rows of the logits. */
  readonly vocabularySize: number;
  /** For the repetition penalty. */
  readonly promptIds: Iterable<number>;
  /** Random numbers drawn before: what has to be saved for a sampler to go on, together with the tokens so far. */
  readonly draws: number;
}

/** A sampler that counts the tokens of one answer: all of them, also those that it did not choose. */
export interface CountingSampler extends Sampler {
  count(id: number): void;
  readonly draws: number;
}

/** Probabilities relative to the likeliest token's, while one token is chosen; one at a time, since nothing here waits. */
let weights = new Float64Array(0);

/**
 * The order in which options apply: logit bias, repetition, frequency and presence penalty (as vLLM does them); then
 * greedy, or temperature, `topK`, `minP`, `topP` on what is left and renormalised, and a draw. Greedy takes the highest
 * logit, the lowest id of equals, and draws nothing; otherwise one number is drawn a token. `sample` overwrites logits
 * where bias or penalties apply; it throws `bug.invariant` for NaN or +Infinity, and when every token is excluded.
 * @throws `input.invalid-request` for options out of range
 */
export function openSampler(options: SamplingOptions, context: SamplerContext): CountingSampler {
  checkSamplingOptions(options, context.vocabularySize);
  const random = new SeededRandom(options.seed, context.draws);
  const adjuster = new LogitAdjuster(options, context.promptIds);
  return {
    sample: (logits) => {
      adjuster.adjust(logits);
      const best = findBest(logits);
      return options.temperature === 0 ? best : draw(logits, best, options, random.next());
    },
    count: (id) => adjuster.count(id),
    get draws() {
      return random.draws;
    },
  };
}

/** Index of the highest logit, the lowest of equals; checks every value on the way. */
function findBest(logits: Float32Array): number {
  let best = -1;
  let bestLogit = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    // most logits are finite and lower; NaN is neither
    if (logit <= bestLogit) continue;
    const isBelow = logit < Number.POSITIVE_INFINITY;
    // a message costs more than its check
    if (!isBelow) invariant(false, `logit of token ${id} is ${logit}, not a finite number`);
    best = id;
    bestLogit = logit;
  }
  invariant(best >= 0, `all ${logits.length} logits exclude their token`);
  return best;
}

/** In float64, summed in one fixed order. */
function draw(logits: Float32Array, best: number, options: SamplingOptions, point: number): number {
  const { temperature, topK, minP, topP } = options;
  const top = logits[best]!;
  if (weights.length !== logits.length) weights = new Float64Array(logits.length);
  const kept = topK > 0 && topK < logits.length ? findTopK(logits, top, topK) : noBorder;
  // exp is most of the work: left out where `minP` excludes a token clearly
  const floor = minP > 0 ? Math.log(minP) - 1e-6 : Number.NEGATIVE_INFINITY;
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    const exponent = (logit - top) / temperature;
    const weight = exponent >= floor && isWithin(kept, logit, id) ? expOf(exponent) : 0;
    weights[id] = weight >= minP ? weight : 0;
    total += weights[id]!;
  }
  if (topP === 1) return pick(logits, noBorder, total * point);
  const nucleus = findBorder(logits, top, weights, total * topP);
  return pick(logits, nucleus, (nucleus === noBorder ? total : nucleus.mass) * point);
}

function findTopK(logits: Float32Array, top: number, topK: number): Border {
  for (let id = 0; id < logits.length; id++) weights[id] = logits[id]! > Number.NEGATIVE_INFINITY ? 1 : 0;
  return findBorder(logits, top, weights, topK);
}

/** The first token within the border at which the running sum exceeds `point`; rounding may leave the last one possible. */
function pick(logits: Float32Array, border: Border, point: number): number {
  let sum = 0;
  let last = -1;
  for (let id = 0; id < logits.length; id++) {
    const weight = weights[id]!;
    if (weight === 0 || !isWithin(border, logits[id]!, id)) continue;
    sum += weight;
    last = id;
    if (sum > point) return id;
  }
  invariant(last >= 0, 'no token has a probability above 0');
  return last;
}
