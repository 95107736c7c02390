/**
 * xorshift32: a checkpoint has a thousand million weights, and all they need is to be spread and always the same.
 * @param seed any whole number
 */
export class FastRandom {
  #state: number;

  constructor(seed: number) {
    // zero would stay zero
    this.#state = Math.imul(seed | 0, 0x9e3779b1) || 1;
  }

  /** 32 random bits, signed. */
  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state;
  }

  /** Uniform in [-limit, limit). */
  fillUniform(values: Float32Array, limit: number): void {
    const step = limit / 2 ** 31;
    for (let index = 0; index < values.length; index++) values[index] = this.next() * step;
  }

  /** Eight 4-bit codes a word, 1 … 15: what stands for -8 is left out, as packers of the family leave it out. */
  fillCodes(words: Uint32Array): void {
    for (let index = 0; index < words.length; index++) {
      const bits = this.next();
      const zeros = ~(bits | (bits >>> 1) | (bits >>> 2) | (bits >>> 3)) & 0x11111111;
      words[index] = bits | (zeros << 3);
    }
  }
}
