import type { Tensor } from 'onnxruntime-node';
import { invariant } from '../../base/invariant.ts';
import { ownRowsInput, suffixInput } from '../model/architectures/deepseek-v3.ts';
import { rowStep } from '../model/layers/attention.ts';
import type { AttentionForm } from '../model/layers/attention-parts.ts';
import { latentWidth, type ModelConfig } from '../model/model-config.ts';
import { blockRows, type StepInput } from '../ports.ts';
import { Int64Rows } from './int64-rows.ts';
import { LatentTensors } from './latent-tensors.ts';
import { OwnBlockFeeds } from './own-block-feeds.ts';
import { firstFloats } from './prefix-feeds.ts';
import { longestOf } from './run-in-parts.ts';

type Feeds = Record<string, Tensor>;

interface OwnOptions {
  readonly form: AttentionForm;
  /** Of the suffix only some rows are read. */
  readonly cutsSuffix: boolean;
  /** Blocks may be given in INT8. */
  readonly rounds: boolean;
}

/** Own rows as graphs read them: whole blocks in INT8 where they are given so, and rows behind those in float32. */
export class OwnFeeds {
  readonly #step: number;
  readonly #cutsSuffix: boolean;
  readonly #width: number;
  readonly #names: readonly string[];
  readonly #tensors = new LatentTensors();
  readonly #blocks: OwnBlockFeeds | null;

  constructor(config: ModelConfig, { form, cutsSuffix, rounds }: OwnOptions) {
    this.#step = rowStep(form);
    this.#cutsSuffix = cutsSuffix;
    this.#width = latentWidth(config);
    this.#names = Array.from({ length: config.layers }, (_, layer) => suffixInput(layer));
    this.#blocks = rounds ? new OwnBlockFeeds(config) : null;
  }

  /** All rows, for all graphs. */
  suffix({ sequences, suffix, suffixRows }: StepInput): Feeds {
    const total = sequences.length;
    const dims = this.#cutsSuffix ? [total * suffixRows, this.#width] : [total, suffixRows, this.#width];
    const feeds: Feeds = {};
    for (const [layer, name] of this.#names.entries()) {
      feeds[name] = this.#tensors.over(firstFloats(suffix[layer], total * suffixRows * this.#width), dims);
    }
    return feeds;
  }

  /**
   * Which of them are read, and where new ones are among these: `write` all, `first` those behind `skipped` of each.
   * @param isExpanded keys and values of each head are computed, of rows in float32
   * @param firstLayer blocks in INT8 of layers before it are left out
   */
  of(input: StepInput, isExpanded: boolean, skipped: number, firstLayer: number): Feeds {
    const { sequences, prefixRows, suffixRows } = input;
    const total = sequences.length;
    const ownBlocks = isExpanded ? null : (input.ownBlocks ?? null);
    const starts = sequences.map((_, index) => (ownBlocks?.places[index]?.length ?? 0) * blockRows);
    const write = new Int64Rows(total);
    const first = new Int64Rows(total);
    for (const [index, { start }] of sequences.entries()) {
      const at = start - prefixRows - (starts[index] ?? 0);
      if (at < 0) invariant(false, `${starts[index]} own rows in INT8, new ones from ${start - prefixRows} on`);
      write.set(index, at);
      first.set(index, at + skipped);
    }
    const feeds = {
      write: write.tensor([total]),
      first: first.tensor([total]),
      [ownRowsInput]: this.#ownRows(write, starts, suffixRows, longestOf(sequences)),
    };
    return this.#blocks === null ? feeds : { ...feeds, ...this.#blocks.of(ownBlocks, total, firstLayer) };
  }

  /**
   * As many rows of each, from its start on: what a slab has room for beyond is not read. A suffix that ends before them
   * gives its last row again, masked as all behind the new rows.
   */
  #ownRows(write: Int64Rows, starts: readonly number[], suffixRows: number, tokens: number): Tensor {
    let end = 0;
    for (let index = 0; index < starts.length; index++) end = Math.max(end, write.get(index) + tokens);
    const count = Math.ceil(end / this.#step) * this.#step;
    const rows = new Int64Rows(starts.length * count);
    for (const [index, start] of starts.entries()) {
      const last = (index + 1) * suffixRows - 1;
      const from = index * suffixRows + start;
      for (let row = 0; row < count; row++) rows.set(index * count + row, Math.min(from + row, last));
    }
    return rows.tensor([starts.length, count]);
  }
}
