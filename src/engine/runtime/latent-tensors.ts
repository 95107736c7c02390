import type { Tensor } from 'onnxruntime-node';
import { floatTensor } from './ort-session.ts';

/** Tensors over arrays that are read in run after run, made once for each array and shape. */
export class LatentTensors {
  readonly #tensors = new WeakMap<Float32Array, Tensor>();

  over(values: Float32Array, dims: readonly number[]): Tensor {
    const known = this.#tensors.get(values);
    if (known !== undefined && known.dims.length === dims.length && known.dims.every((dim, at) => dim === dims[at])) {
      return known;
    }
    const tensor = floatTensor(values, dims);
    this.#tensors.set(values, tensor);
    return tensor;
  }
}
