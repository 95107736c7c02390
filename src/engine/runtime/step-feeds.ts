import type { Tensor } from 'onnxruntime-node';
import { expandInput } from '../model/architectures/deepseek-v3.ts';
import type { AttentionForm } from '../model/layers/attention-parts.ts';
import { expandedRows } from '../model/layers/expanded.ts';
import { computeRotaryRows, inverseFrequencies } from '../model/layers/rotary.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { operatorsOf } from '../model/operators/operators-of.ts';
import type { StepInput, StepSequence } from '../ports.ts';
import { Int64Rows } from './int64-rows.ts';
import { floatTensor, intTensor } from './ort-session.ts';
import { OwnFeeds } from './own-feeds.ts';
import { PrefixFeeds } from './prefix-feeds.ts';
import type { Device } from './provider.ts';
import { longestOf } from './run-in-parts.ts';

interface FeedOptions {
  readonly form: AttentionForm;
  /** Blocks may be given in INT8. */
  readonly rounds: boolean;
  readonly device: Device | null;
}

/** What the graphs read in one run, made of a step (table of `deepseek-v3.ts`). */
export class StepFeeds {
  readonly #frequencies: Float32Array;
  readonly #attentionFactor: number;
  readonly #form: AttentionForm;
  readonly #expands: boolean;
  readonly #prefixes: PrefixFeeds;
  readonly #own: OwnFeeds;

  constructor(config: ModelConfig, { form, rounds, device }: FeedOptions) {
    this.#form = form;
    const { expands, cutsSuffix } = operatorsOf(device?.provider ?? 'cpu');
    this.#expands = expands;
    this.#prefixes = new PrefixFeeds(config, rounds, device);
    this.#own = new OwnFeeds(config, { form, cutsSuffix, rounds });
    this.#frequencies = inverseFrequencies(config.rope, config.ropeWidth);
    this.#attentionFactor = config.rope.yarn?.attentionFactor ?? 1;
  }

  /** Inputs of all graphs together: each reads its own. The caller adds what one graph gives the next. */
  of(input: StepInput): Record<string, Tensor> {
    const { sequences, isPrompt = false } = input;
    const total = sequences.length;
    const tokens = longestOf(sequences);
    const isExpanded = this.#isExpanded(input);
    const ids = new Int64Rows(total * tokens);
    for (const [index, { tokenIds }] of sequences.entries()) {
      for (let at = 0; at < tokenIds.length; at++) ids.set(index * tokens + at, tokenIds[at] ?? 0);
    }
    const feeds: Record<string, Tensor> = {
      ids: ids.tensor([total, tokens]),
      [expandInput]: intTensor(BigInt64Array.of(isPrompt ? 1n : 0n), [1]),
    };
    // one object, filled: there are some ten inputs a layer, and a copy of all costs as much as all else here
    this.#addRotary(feeds, sequences, 0, tokens);
    this.#prefixes.add(feeds, input, isExpanded);
    this.#own.addSuffix(feeds, input);
    this.#own.add(feeds, input, isExpanded);
    return feeds;
  }

  #isExpanded({ sequences, isPrompt = false }: StepInput): boolean {
    return this.#form === 'exact' ? isPrompt : this.#isLong(longestOf(sequences), sequences.length);
  }

  /** As `addIsExpanded` has it in the fast form. */
  #isLong(tokens: number, sequences: number): boolean {
    return this.#expands && tokens >= expandedRows && sequences === 1;
  }

  /**
   * Adds what only the top reads, and replaces what it reads otherwise than the graphs below. It computes the wanted rows
   * alone where all sequences want as many of their last ones: of a long prompt, one.
   */
  addTop(feeds: Record<string, Tensor>, input: StepInput): void {
    const { sequences, prefix } = input;
    const total = sequences.length;
    const tokens = longestOf(sequences);
    const most = sequences[0]?.wanted ?? 0;
    const isEven = sequences.every(({ tokenIds, wanted }) => wanted === most && tokenIds.length === tokens);
    const count = isEven ? most : tokens;
    const skipped = tokens - count;
    const asked = new Int64Rows(total * count);
    for (let index = 0; index < total; index++) {
      for (let row = 0; row < count; row++) asked.set(index * count + row, index * tokens + skipped + row);
    }
    const select = selectRows(sequences, tokens, count);
    // in the exact form never
    const isExpanded = this.#form === 'fast' && this.#isLong(count, total);
    feeds['asked'] = asked.tensor([total * count]);
    feeds['select'] = select.tensor([select.values.length]);
    feeds['first'] = this.#own.first(input, isExpanded, skipped);
    if (isExpanded !== this.#isExpanded(input)) {
      const last = prefix.length - 1;
      this.#prefixes.add(feeds, input, isExpanded, last);
      this.#own.add(feeds, input, isExpanded, last);
    }
    if (skipped === 0) return;
    feeds['ids'] = new Int64Rows(total * count).tensor([total, count]);
    this.#addRotary(feeds, sequences, skipped, count);
  }

  /** Of `count` rows a sequence, behind `skipped` new ones. */
  #addRotary(feeds: Record<string, Tensor>, sequences: readonly StepSequence[], skipped: number, count: number): void {
    const pairs = this.#frequencies.length;
    const cos = new Float32Array(sequences.length * count * pairs);
    const sin = new Float32Array(sequences.length * count * pairs);
    for (const [index, { start }] of sequences.entries()) {
      const turned = computeRotaryRows(this.#frequencies, this.#attentionFactor, start + skipped, count);
      cos.set(turned.cos, index * count * pairs);
      sin.set(turned.sin, index * count * pairs);
    }
    const dims = [sequences.length * count, pairs];
    feeds['cos'] = floatTensor(cos, dims);
    feeds['sin'] = floatTensor(sin, dims);
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
function selectRows(sequences: readonly StepSequence[], tokens: number, count: number): Int64Rows {
  const places = new Int64Rows(sequences.reduce((sum, { wanted }) => sum + wanted, 0));
  let next = 0;
  for (const [index, { tokenIds, wanted }] of sequences.entries()) {
    const end = index * count + tokenIds.length - (tokens - count);
    for (let row = end - wanted; row < end; row++) places.set(next++, row);
  }
  return places;
}
