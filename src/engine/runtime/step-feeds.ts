import type { Tensor } from 'onnxruntime-node';
import { expandInput, ownRowsInput, suffixInput } from '../model/architectures/deepseek-v3.ts';
import { rowStep } from '../model/layers/attention.ts';
import type { AttentionForm } from '../model/layers/attention-parts.ts';
import { expandedRows } from '../model/layers/expanded.ts';
import { computeRotaryRows, inverseFrequencies } from '../model/layers/rotary.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { operatorsOf } from '../model/operators/operators-of.ts';
import type { StepInput, StepSequence } from '../ports.ts';
import { LatentTensors } from './latent-tensors.ts';
import { floatTensor, intTensor } from './ort-session.ts';
import { firstFloats, PrefixFeeds } from './prefix-feeds.ts';
import type { Device } from './provider.ts';
import { longestOf } from './run-in-parts.ts';

interface FeedOptions {
  readonly form: AttentionForm;
  /** Prefixes may be given in INT8. */
  readonly rounds: boolean;
  readonly device: Device | null;
}

/** What the graphs read in one run, made of a step (table of `deepseek-v3.ts`). */
export class StepFeeds {
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #width: number;
  readonly #form: AttentionForm;
  readonly #expands: boolean;
  readonly #suffixNames: readonly string[];
  readonly #tensors = new LatentTensors();
  readonly #prefixes: PrefixFeeds;

  constructor(config: ModelConfig, { form, rounds, device }: FeedOptions) {
    this.#form = form;
    this.#expands = operatorsOf(device?.provider ?? 'cpu').expands;
    this.#prefixes = new PrefixFeeds(config, rounds, device);
    this.#frequencies = inverseFrequencies(config.rope, config.ropeWidth);
    this.#attentionFactor = config.rope.yarn?.attentionFactor ?? 1;
    this.#width = latentWidth(config);
    this.#suffixNames = Array.from({ length: config.layers }, (_, layer) => suffixInput(layer));
  }

  /** Inputs of all graphs together: each reads its own. The caller adds what one graph gives the next. */
  of(input: StepInput): Record<string, Tensor> {
    const { sequences, prefixRows, suffix, suffixRows, isPrompt = false } = input;
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
    const feeds: Record<string, Tensor> = {
      ids: intTensor(ids.values, [total, tokens]),
      write: intTensor(write.values, [total]),
      [ownRowsInput]: intTensor(ownRows.values, [1]),
      [expandInput]: intTensor(BigInt64Array.of(isPrompt ? 1n : 0n), [1]),
      ...this.#rotary(sequences, 0, tokens),
      ...this.#prefixes.of(input, this.#form === 'exact' ? isPrompt : this.#isLong(tokens, total)),
    };
    for (const [layer, name] of this.#suffixNames.entries()) {
      const own = firstFloats(suffix[layer], total * suffixRows * this.#width);
      feeds[name] = this.#tensors.over(own, [total, suffixRows, this.#width]);
    }
    return feeds;
  }

  /** As `addIsExpanded` has it in the fast form. */
  #isLong(tokens: number, sequences: number): boolean {
    return this.#expands && tokens >= expandedRows && sequences === 1;
  }

  /**
   * What only the top reads, and what it reads otherwise than the graphs below. It computes the wanted rows alone where
   * all sequences want as many of their last ones: of a long prompt, one.
   */
  ofTop(input: StepInput): Record<string, Tensor> {
    const { sequences, prefixRows, prefix } = input;
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
      // in the exact form never expanded
      ...this.#prefixes.of(input, this.#form === 'fast' && this.#isLong(count, total), prefix.length - 1),
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
    const step = rowStep(this.#form);
    return Math.ceil((end - prefixRows) / step) * step;
  }

  /** Before a run. */
  async upload(input: StepInput): Promise<void> {
    await this.#prefixes.upload(input);
  }

  close(): void {
    this.#prefixes.close();
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
