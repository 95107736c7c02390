import { AppError } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import type { Sampler } from '../ports.ts';
import { SeededRandom } from './random.ts';

export interface SamplerOptions {
  readonly seed: number;
  /** 0 is greedy. */
  readonly temperature: number;
  /** In (0, 1]: the smallest set of most likely tokens that holds this much probability. */
  readonly topP: number;
}

/** What has to be saved besides the options for a sampler to go on where it stood. */
export interface SamplerState {
  readonly draws: number;
}

export interface SavableSampler extends Sampler {
  state(): SamplerState;
}

/**
 * Greedy takes the highest logit, the lowest id of equals, and draws nothing. Otherwise one number is drawn per token.
 * `sample` throws `bug.invariant` for NaN or +Infinity, and when every token is excluded.
 * @throws `input.invalid-request` for options out of range
 */
export function openSampler(options: SamplerOptions, state: SamplerState = { draws: 0 }): SavableSampler {
  checkOptions(options);
  const { seed, temperature, topP } = options;
  const random = new SeededRandom(seed, state.draws);
  return {
    sample: (logits) => {
      const best = findBest(logits);
      return temperature === 0 ? best : sampleNucleus(logits, logits[best]!, temperature, topP, random.next());
    },
    state: () => ({ draws: random.draws }),
  };
}

function checkOptions({ seed, temperature, topP }: SamplerOptions): void {
  const refuse = (param: string, met: number, allowed: string): never => {
    throw new AppError('input.invalid-request', `${param} is ${met}, allowed: ${allowed}`, { param });
  };
  if (!Number.isSafeInteger(seed)) refuse('seed', seed, 'a whole number within ±(2^53 - 1)');
  if (!(temperature >= 0 && Number.isFinite(temperature))) refuse('temperature', temperature, 'a number from 0');
  if (!(topP > 0 && topP <= 1)) refuse('top_p', topP, 'above 0, up to 1');
}

/** Index of the highest logit, the lowest of equals; checks every value on the way. */
function findBest(logits: Float32Array): number {
  let best = -1;
  let bestLogit = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    // false for NaN too
    invariant(logit < Number.POSITIVE_INFINITY, `logit of token ${id} is ${logit}, not a finite number`);
    if (logit > bestLogit) {
      best = id;
      bestLogit = logit;
    }
  }
  invariant(best >= 0, `all ${logits.length} logits exclude their token`);
  return best;
}

/** Probabilities are relative to the best token's, in float64, summed in one fixed order. */
function sampleNucleus(logits: Float32Array, top: number, temperature: number, topP: number, draw: number): number {
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const weight = Math.exp((logits[id]! - top) / temperature);
    weights[id] = weight;
    total += weight;
  }
  if (topP === 1) return pick(weights, null, total * draw);
  const nucleus = findNucleus(weights, total * topP);
  const mass = nucleus.reduce((sum, id) => sum + weights[id]!, 0);
  return pick(weights, nucleus, mass * draw);
}

/** Fewest ids, most likely first, whose weights reach `wanted`. Only the likeliest are sorted, more when they are not enough. */
function findNucleus(weights: Float64Array, wanted: number): Uint32Array {
  for (let floor = 1e-3; ; floor *= 1e-3) {
    const isLast = floor < Number.MIN_VALUE * 1e6;
    const ids: number[] = [];
    let mass = 0;
    for (let id = 0; id < weights.length; id++) {
      const weight = weights[id]!;
      if (weight >= floor || (isLast && weight > 0)) {
        ids.push(id);
        mass += weight;
      }
    }
    if (mass < wanted && !isLast) continue;
    const sorted = Uint32Array.from(ids).sort((a, b) => weights[b]! - weights[a]! || a - b);
    return sorted.subarray(0, countUntil(weights, sorted, wanted));
  }
}

function countUntil(weights: Float64Array, ids: Uint32Array, wanted: number): number {
  let mass = 0;
  for (let count = 0; count < ids.length; count++) {
    mass += weights[ids[count]!]!;
    if (mass >= wanted) return count + 1;
  }
  return ids.length;
}

/** The first of `ids` (null: of all) at which the running sum exceeds `point`; rounding may leave the last one possible. */
function pick(weights: Float64Array, ids: Uint32Array | null, point: number): number {
  let sum = 0;
  let last = -1;
  const total = ids?.length ?? weights.length;
  for (let index = 0; index < total; index++) {
    const id = ids === null ? index : ids[index]!;
    const weight = weights[id]!;
    if (weight === 0) continue;
    sum += weight;
    last = id;
    if (sum > point) return id;
  }
  invariant(last >= 0, 'no token has a probability above 0');
  return last;
}
