/**
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"): a counter and a key give four words.
 * The whole state is (seed, draws), so a generator is saved as one number and goes on anywhere in O(1).
 */

const multiplier0 = 0xd2511f53;
const multiplier1 = 0xcd9e8d57;
const weyl0 = 0x9e3779b9;
const weyl1 = 0xbb67ae85;
const rounds = 10;
const word = 2 ** 32;

/** High 32 bits of the product of two unsigned 32-bit numbers. */
function multiplyHigh(a: number, b: number): number {
  const [aLow, aHigh, bLow, bHigh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const cross = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (cross & 0xffff);
  return (aHigh * bHigh + Math.floor(cross / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

export type FourWords = readonly [number, number, number, number];

/** @param counter four and `key` two unsigned 32-bit words */
export function philox(counter: FourWords, key: readonly [number, number]): FourWords {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < rounds; round++) {
    const high0 = multiplyHigh(multiplier0, c0);
    const high1 = multiplyHigh(multiplier1, c2);
    const low0 = Math.imul(multiplier0, c0) >>> 0;
    const low1 = Math.imul(multiplier1, c2) >>> 0;
    [c0, c1, c2, c3] = [(high1 ^ c1 ^ k0) >>> 0, low1, (high0 ^ c3 ^ k1) >>> 0, low0];
    k0 = (k0 + weyl0) >>> 0;
    k1 = (k1 + weyl1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** Uniform numbers that depend on the seed and on how many were drawn, on nothing else. */
export class SeededRandom {
  readonly #key: readonly [number, number];
  #draws: number;

  /** @param seed a whole number, also negative. @param draws how many numbers were drawn before, from `draws`. */
  constructor(seed: number, draws = 0) {
    this.#key = [seed >>> 0, Math.floor(seed / word) >>> 0];
    this.#draws = draws;
  }

  /** Numbers drawn so far: the state to save. */
  get draws(): number {
    return this.#draws;
  }

  /** In [0, 1), 53 bits. */
  next(): number {
    const counter = this.#draws++;
    const [high, low] = philox([counter >>> 0, Math.floor(counter / word) >>> 0, 0, 0], this.#key);
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  }
}
