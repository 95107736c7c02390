import type { Tensor } from 'onnxruntime-node';
import { invariant } from '../../base/invariant.ts';
import {
  expandInput,
  ownRowsInput,
  prefixBiasInput,
  prefixInput,
  suffixInput,
} from '../model/architectures/deepseek-v3.ts';
import { excluded } from '../model/layers/attention.ts';
import { computeRotaryRows, inverseFrequencies } from '../model/layers/rotary.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { operatorsOf } from '../model/operators/operators-of.ts';
import type { StepInput, StepSequence } from '../ports.ts';
import { DevicePrefixes } from './device-prefixes.ts';
import { LatentTensors } from './latent-tensors.ts';
import { floatTensor, intTensor } from './ort-session.ts';
import type { Device } from './provider.ts';
import { longestOf } from './run-in-parts.ts';

/** What the graphs read in one run, made of a step (table of `deepseek-v3.ts`). */
export class StepFeeds {
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #width: number;
  readonly #rowStep: number;
  readonly #prefixNames: readonly string[];
  readonly #suffixNames: readonly string[];
  readonly #tensors = new LatentTensors();
  readonly #devicePrefixes: DevicePrefixes | null;
  /** Stands for an empty prefix; null: that may be empty. */
  readonly #noPrefix: Tensor | null;

  constructor(config: ModelConfig, rowStep: number, device: Device | null) {
    this.#rowStep = rowStep;
    this.#devicePrefixes = device?.keepsTensors === true ? new DevicePrefixes(device) : null;
    this.#frequencies = inverseFrequencies(config.rope, config.ropeWidth);
    this.#attentionFactor = config.rope.yarn?.attentionFactor ?? 1;
    this.#width = latentWidth(config);
    const allowsEmpty = operatorsOf(device?.provider ?? 'cpu').allowsEmpty;
    this.#noPrefix = allowsEmpty ? null : floatTensor(new Float32Array(this.#width), [1, this.#width]);
    this.#prefixNames = Array.from({ length: config.layers }, (_, layer) => prefixInput(layer));
    this.#suffixNames = Array.from({ length: config.layers }, (_, layer) => suffixInput(layer));
  }

  /** Inputs of all graphs together: each reads its own. The caller adds what one graph gives the next. */
  of({ sequences, prefix, prefixRows, suffix, suffixRows, isPrompt = false }: StepInput): Record<string, Tensor> {
    const total = sequences.length;
    const tokens = longestOf(sequences);
    const ids = new Int64Rows(total * tokens);
    const write = new Int64Rows(total);
    for (const [index, { start, tokenIds }] of sequences.entries()) {
      for (let at = 0; at < tokenIds.length; at++) ids.set(index * tokens + at, tokenIds[at] ?? 0);
      write.set(index, start - prefixRows);
    }
    const ownRows = new Int64Rows(1);
    ownRows.set(0, this.#ownRows({ sequences, prefixRows }, tokens));
    const bias = floatTensor(Float32Array.of(prefixRows === 0 ? excluded : 0), [1]);
    const feeds: Record<string, Tensor> = {
      ids: intTensor(ids.values, [total, tokens]),
      write: intTensor(write.values, [total]),
      [ownRowsInput]: intTensor(ownRows.values, [1]),
      [expandInput]: intTensor(BigInt64Array.of(isPrompt ? 1n : 0n), [1]),
      ...this.#rotary(sequences, 0, tokens),
    };
    if (this.#noPrefix !== null) feeds[prefixBiasInput] = bias;
    const width = this.#width;
    for (let layer = 0; layer < this.#prefixNames.length; layer++) {
      const shared = view(prefix[layer], prefixRows * width);
      const own = view(suffix[layer], total * suffixRows * width);
      const elsewhere = prefixRows === 0 ? this.#noPrefix : this.#devicePrefixes?.find(shared);
      feeds[this.#prefixNames[layer] ?? ''] = elsewhere ?? this.#tensors.over(shared, [prefixRows, width]);
      feeds[this.#suffixNames[layer] ?? ''] = this.#tensors.over(own, [total, suffixRows, width]);
    }
    return feeds;
  }

  /**
   * What only the top reads, and what it reads otherwise than the graphs below. It computes the wanted rows alone where
   * all sequences want as many of their last ones: of a long prompt, one.
   */
  ofTop({ sequences, prefixRows }: StepInput): Record<string, Tensor> {
    const total = sequences.length;
    const tokens = longestOf(sequences);
    const most = sequences[0]?.wanted ?? 0;
    const isEven = sequences.every(({ tokenIds, wanted }) => wanted === most && tokenIds.length === tokens);
    const count = isEven ? most : tokens;
    const skipped = tokens - count;
    const asked = new Int64Rows(total * count);
    const first = new Int64Rows(total);
    for (const [index, { start }] of sequences.entries()) {
      for (let row = 0; row < count; row++) asked.set(index * count + row, index * tokens + skipped + row);
      first.set(index, start - prefixRows + skipped);
    }
    const select = selectRows(sequences, tokens, count);
    const feeds: Record<string, Tensor> = {
      asked: intTensor(asked.values, [total * count]),
      first: intTensor(first.values, [total]),
      select: intTensor(select, [select.length]),
    };
    if (skipped === 0) return feeds;
    const ids = intTensor(new BigInt64Array(total * count), [total, count]);
    return { ...feeds, ids, ...this.#rotary(sequences, skipped, count) };
  }

  /** Of `count` rows a sequence, behind `skipped` new ones. */
  #rotary(sequences: readonly StepSequence[], skipped: number, count: number): Record<'cos' | 'sin', Tensor> {
    const pairs = this.#frequencies.length;
    const cos = new Float32Array(sequences.length * count * pairs);
    const sin = new Float32Array(sequences.length * count * pairs);
    for (const [index, { start }] of sequences.entries()) {
      const turned = computeRotaryRows(this.#frequencies, this.#attentionFactor, start + skipped, count);
      cos.set(turned.cos, index * count * pairs);
      sin.set(turned.sin, index * count * pairs);
    }
    const dims = [sequences.length * count, pairs];
    return { cos: floatTensor(cos, dims), sin: floatTensor(sin, dims) };
  }

  /** What a slab has room for beyond is not read. */
  #ownRows({ sequences, prefixRows }: Pick<StepInput, 'sequences' | 'prefixRows'>, tokens: number): number {
    const end = sequences.reduce((latest, { start }) => Math.max(latest, start), 0) + tokens;
    return Math.ceil((end - prefixRows) / this.#rowStep) * this.#rowStep;
  }

  /** Before a run: a prefix that others will read too goes to the device once. */
  async upload({ prefix, prefixRows, isPrefixFinal = false }: StepInput): Promise<void> {
    if (this.#devicePrefixes === null || !isPrefixFinal || prefixRows === 0) return;
    for (const layer of prefix) {
      const shared = view(layer, prefixRows * this.#width);
      await this.#devicePrefixes.keep(shared, this.#tensors.over(shared, [prefixRows, this.#width]));
    }
  }

  close(): void {
    this.#devicePrefixes?.close();
  }
}

/** Places of the wanted rows among the last `count` of the `tokens` rows that each sequence is padded to. */
function selectRows(sequences: readonly StepSequence[], tokens: number, count: number): BigInt64Array {
  const places = new Int64Rows(sequences.reduce((sum, { wanted }) => sum + wanted, 0));
  let next = 0;
  for (const [index, { tokenIds, wanted }] of sequences.entries()) {
    const end = index * count + tokenIds.length - (tokens - count);
    for (let row = end - wanted; row < end; row++) places.set(next++, row);
  }
  return places.values;
}

/** int64 from numbers below 2³¹, without a BigInt for each. */
class Int64Rows {
  readonly values: BigInt64Array;
  readonly #words: Int32Array;

  constructor(length: number) {
    this.values = new BigInt64Array(length);
    this.#words = new Int32Array(this.values.buffer);
  }

  /** @param value 0 or more: the high word stays 0. The runtime has builds for little-endian machines only. */
  set(index: number, value: number): void {
    this.#words[2 * index] = value;
  }
}

function view(values: Float32Array | undefined, length: number): Float32Array {
  const isEnough = values !== undefined && values.length >= length;
  // a message costs more than its check
  if (!isEnough) invariant(false, `latents hold ${values?.length}, a step reads ${length}`);
  return values.length === length ? values : values.subarray(0, length);
}
