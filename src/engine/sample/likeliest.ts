/**
 * The likeliest tokens up to a count or a mass, without sorting them all: logits are counted into buckets from the
 * highest down, and only the bucket in which the border falls is sorted. Equal logits: the lower id is likelier.
 */
export interface Border {
  /** Tokens above this logit belong, and those of it with ids up to `lastId`. */
  readonly logit: number;
  readonly lastId: number;
  /** What all of them weigh together, but for rounding. */
  readonly mass: number;
}

/** Every token that is not excluded belongs. */
export const noBorder: Border = { logit: Number.NEGATIVE_INFINITY, lastId: -1, mass: Number.NaN };

export function isWithin(border: Border, logit: number, id: number): boolean {
  return logit > border.logit || (logit === border.logit && id <= border.lastId);
}

const bucketTotal = 4096;
/** Fewest buckets a unit: then they reach 64 below the highest logit, where a probability is 1e-28 of the highest. */
const bucketsPerUnit = 64;
const masses = new Float64Array(bucketTotal);

/**
 * Where the likeliest tokens reach `wanted`.
 * @param weights of each token what counts; those of weight 0 are left out
 * @param top the highest logit
 */
export function findBorder(logits: Float32Array, top: number, weights: Float64Array, wanted: number): Border {
  const scale = findScale(logits, top, weights);
  masses.fill(0);
  for (let id = 0; id < logits.length; id++) {
    const weight = weights[id]!;
    if (weight > 0) masses[bucketOf(logits[id]!, top, scale)]! += weight;
  }
  let mass = 0;
  let bucket = 0;
  while (bucket < bucketTotal && mass + masses[bucket]! < wanted) mass += masses[bucket++]!;
  if (bucket === bucketTotal) return noBorder;
  const ids: number[] = [];
  for (let id = 0; id < logits.length; id++) {
    if (weights[id]! > 0 && bucketOf(logits[id]!, top, scale) === bucket) ids.push(id);
  }
  ids.sort((a, b) => logits[b]! - logits[a]! || a - b);
  let last = -1;
  // summed in another order, the bucket may weigh a hair less than before: then it belongs as a whole
  for (let index = 0; index < ids.length && mass < wanted; index++) {
    last = ids[index]!;
    mass += weights[last]!;
  }
  return { logit: logits[last]!, lastId: last, mass };
}

/** So many buckets a unit that logits close to each other still spread over all of them. */
function findScale(logits: Float32Array, top: number, weights: Float64Array): number {
  let lowest = top;
  for (let id = 0; id < logits.length; id++) {
    if (logits[id]! < lowest && weights[id]! > 0) lowest = logits[id]!;
  }
  return lowest === top ? bucketsPerUnit : Math.max(bucketsPerUnit, bucketTotal / (top - lowest));
}

function bucketOf(logit: number, top: number, scale: number): number {
  return Math.min(Math.floor((top - logit) * scale), bucketTotal - 1);
}
