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
import { gatherSuffix, longestOf } from './run-in-parts.ts';

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

  /** Adds all rows, for all graphs. */
  addSuffix(feeds: Feeds, input: StepInput): void {
    // where the graph reads all of it, a sequence's rows lie side by side
    const { sequences, suffix, suffixRows, suffixBlocks } = this.#cutsSuffix ? input : gatherSuffix(input, this.#width);
    const total = sequences.length;
    for (const [layer, name] of this.#names.entries()) {
      const rows = suffixBlocks === undefined ? total * suffixRows : (suffix[layer]?.length ?? 0) / this.#width;
      const dims = this.#cutsSuffix ? [rows, this.#width] : [total, suffixRows, this.#width];
      feeds[name] = this.#tensors.over(firstFloats(suffix[layer], rows * this.#width), dims);
    }
  }

  /**
   * Adds which of them are read, and `write`: where new ones are among these.
   * @param isExpanded keys and values of each head are computed, of rows in float32
   * @param firstLayer blocks in INT8 of layers before it are left out
   */
  add(feeds: Feeds, input: StepInput, isExpanded: boolean, firstLayer = 0): void {
    const total = input.sequences.length;
    const write = writeRows(input, isExpanded);
    feeds['write'] = write.tensor([total]);
    feeds[ownRowsInput] = this.#ownRows(input, write);
    this.#blocks?.add(feeds, isExpanded ? null : (input.ownBlocks ?? null), total, firstLayer);
  }

  /** As `write`, of the rows behind `skipped` new ones of each sequence. */
  first(input: StepInput, isExpanded: boolean, skipped: number): Tensor {
    return writeRows(input, isExpanded, skipped).tensor([input.sequences.length]);
  }

  /** As many rows of each, up to its new ones; where one has none there any, masked as all behind the new rows. */
  #ownRows(input: StepInput, write: Int64Rows): Tensor {
    const { sequences, prefixRows } = input;
    const tokens = longestOf(sequences);
    let end = 0;
    for (let index = 0; index < sequences.length; index++) end = Math.max(end, write.get(index) + tokens);
    const count = Math.ceil(end / this.#step) * this.#step;
    const rows = new Int64Rows(sequences.length * count);
    for (const [index, { start }] of sequences.entries()) {
      const from = start - prefixRows - write.get(index);
      for (let row = 0; row < count; row++) rows.set(index * count + row, suffixRow(input, index, from + row));
    }
    return rows.tensor([sequences.length, count]);
  }
}

/** Where the row behind `skipped` new ones of each sequence is, behind its blocks that are read in INT8. */
function writeRows(
  { sequences, prefixRows, ownBlocks = null }: StepInput,
  isExpanded: boolean,
  skipped = 0,
): Int64Rows {
  const write = new Int64Rows(sequences.length);
  for (const [index, { start }] of sequences.entries()) {
    const before = isExpanded ? 0 : (ownBlocks?.places[index]?.length ?? 0) * blockRows;
    const at = start - prefixRows - before;
    if (at < 0) invariant(false, `${before} own rows in INT8, new ones from ${start - prefixRows} on`);
    write.set(index, at + skipped);
  }
  return write;
}

/** Where a sequence's own row is in the suffix; beyond the last one, any. */
function suffixRow({ suffixRows, suffixBlocks }: StepInput, sequence: number, row: number): number {
  if (suffixBlocks === undefined) return sequence * suffixRows + Math.min(row, suffixRows - 1);
  const blocks = suffixBlocks[sequence] ?? [];
  const block = blocks[Math.floor(row / blockRows)] ?? blocks[0] ?? 0;
  return block * blockRows + (row % blockRows);
}
