import type { Tensor } from 'onnxruntime-node';
import { intTensor } from './ort-session.ts';

/** int64 from numbers below 2³¹, without a BigInt for each. */
export class Int64Rows {
  readonly values: BigInt64Array;
  readonly #words: Int32Array;

  /** @param value of all, until they are set */
  constructor(length: number, value = 0) {
    this.values = new BigInt64Array(length);
    this.#words = new Int32Array(this.values.buffer);
    if (value !== 0) this.values.fill(BigInt(value));
  }

  get(index: number): number {
    return this.#words[2 * index] ?? 0;
  }

  /** @param value 0 or more: the high word stays 0. The runtime has builds for little-endian machines only. */
  set(index: number, value: number): void {
    this.#words[2 * index] = value;
  }

  tensor(dims: readonly number[]): Tensor {
    return intTensor(this.values, dims);
  }
}
