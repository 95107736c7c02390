import type { Tensor } from 'onnxruntime-node';
import { invariant } from '../../base/invariant.ts';
import { prefixBiasInput, prefixInput, roundedInputs } from '../model/architectures/deepseek-v3.ts';
import { excluded } from '../model/layers/causal-mask.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { operatorsOf } from '../model/operators/operators-of.ts';
import type { StepInput } from '../ports.ts';
import { DevicePrefixes } from './device-prefixes.ts';
import { LatentTensors } from './latent-tensors.ts';
import { floatTensor } from './ort-session.ts';
import type { Device } from './provider.ts';
import { RoundedFeeds } from './rounded-feeds.ts';

type Feeds = Record<string, Tensor>;
type PrefixInput = Pick<StepInput, 'prefix' | 'prefixRows' | 'rounded'>;

/**
 * The prefix as graphs read it: in float32, from memory or from a device, or in INT8 where it is given so and the run
 * does not expand keys and values.
 */
export class PrefixFeeds {
  readonly #width: number;
  readonly #names: readonly string[];
  readonly #tensors = new LatentTensors();
  readonly #rounded: RoundedFeeds | null;
  readonly #devicePrefixes: DevicePrefixes | null;
  /** Stands for an empty prefix: no rows, or one that is masked. */
  readonly #noPrefix: Tensor;
  readonly #allowsEmpty: boolean;

  constructor(config: ModelConfig, rounds: boolean, device: Device | null) {
    this.#width = latentWidth(config);
    this.#rounded = rounds ? new RoundedFeeds(config, roundedInputs) : null;
    this.#devicePrefixes = device?.keepsTensors === true ? new DevicePrefixes(device) : null;
    this.#allowsEmpty = operatorsOf(device?.provider ?? 'cpu').allowsEmpty;
    const rows = this.#allowsEmpty ? 0 : 1;
    this.#noPrefix = floatTensor(new Float32Array(rows * this.#width), [rows, this.#width]);
    this.#names = Array.from({ length: config.layers }, (_, layer) => prefixInput(layer));
  }

  /** Adds inputs of layers from `first` on. */
  add(feeds: Feeds, { prefix, prefixRows, rounded = null }: PrefixInput, isExpanded: boolean, first = 0): void {
    const inInt8 = isExpanded || prefixRows === 0 ? null : rounded;
    this.#rounded?.add(feeds, inInt8, first);
    for (let layer = first; layer < prefix.length; layer++) {
      feeds[this.#names[layer] ?? ''] = this.#floats(prefix[layer], inInt8 === null ? prefixRows : 0);
    }
    if (!this.#allowsEmpty) {
      feeds[prefixBiasInput] = floatTensor(Float32Array.of(prefixRows === 0 ? excluded : 0), [1]);
    }
  }

  /** Before a run: a prefix that others will read too goes to the device once. */
  async upload({ prefix, prefixRows, isPrefixFinal = false }: StepInput): Promise<void> {
    if (this.#devicePrefixes === null || !isPrefixFinal || prefixRows === 0) return;
    for (const layer of prefix) {
      const shared = firstFloats(layer, prefixRows * this.#width);
      await this.#devicePrefixes.keep(shared, this.#tensors.over(shared, [prefixRows, this.#width]));
    }
  }

  close(): void {
    this.#devicePrefixes?.close();
  }

  #floats(layer: Float32Array | undefined, rows: number): Tensor {
    if (rows === 0) return this.#noPrefix;
    const shared = firstFloats(layer, rows * this.#width);
    return this.#devicePrefixes?.find(shared) ?? this.#tensors.over(shared, [rows, this.#width]);
  }
}

export function firstFloats(values: Float32Array | undefined, length: number): Float32Array {
  const isEnough = values !== undefined && values.length >= length;
  // a message costs more than its check
  if (!isEnough) invariant(false, `latents hold ${values?.length}, a step reads ${length}`);
  return values.length === length ? values : values.subarray(0, length);
}
