import { AppError } from '../base/errors.ts';
import { LatentBuffer, roundRows } from './kv/latent-buffer.ts';
import { RoundedBlocks } from './kv/rounded-blocks.ts';
import type { ReferenceCase } from './model/reference-case.ts';
import { blockRows, type ModelRunner, type StepInput } from './ports.ts';

export interface Schedule {
  readonly prefixRows: number;
  /** Rows of each run, repeated to the end. */
  readonly chunks: readonly number[];
}

/** Whole blocks without a prefix, then a prefix of all full blocks but the last with chunks that cross borders. */
export function planSchedules(tokens: number): readonly [Schedule, Schedule] {
  const prefixRows = Math.max(0, Math.floor((tokens - 1) / blockRows) - 1) * blockRows;
  return [
    { prefixRows: 0, chunks: [blockRows] },
    { prefixRows, chunks: [37, 1, 100, 256, 3] },
  ];
}

export function checkFits(runner: ModelRunner, { file, tokenIds, greedy, vocabularySize }: ReferenceCase): void {
  const tokens = tokenIds.length + greedy.length;
  if (vocabularySize !== runner.vocabularySize) {
    const what = `${file}: logits of ${vocabularySize} entries, the model has ${runner.vocabularySize}`;
    throw new AppError('input.model-folder', what);
  }
  if (tokens > runner.contextTokens) {
    throw new AppError('input.model-folder', `${file}: ${tokens} tokens, the window holds ${runner.contextTokens}`);
  }
}

export function findBest(logits: Float32Array): number {
  let best = 0;
  for (let entry = 1; entry < logits.length; entry++) {
    if ((logits[entry] ?? 0) > (logits[best] ?? 0)) best = entry;
  }
  return best;
}

/** One sequence over latents of its own: prefix rows [0, prefixRows), then suffix rows. */
export class VerifySequence {
  readonly #runner: ModelRunner;
  readonly #prefixRows: number;
  readonly #prefix: LatentBuffer;
  readonly #suffix: LatentBuffer;
  readonly #blocks: RoundedBlocks<VerifySequence> | null;
  #rounded: StepInput['rounded'] = null;
  #rows = 0;

  /** @param readsRounded behind the prefix whole blocks are read in INT8, as requests do where the runner has `rounding` */
  constructor(runner: ModelRunner, prefixRows: number, readsRounded = false) {
    this.#runner = runner;
    this.#prefixRows = prefixRows;
    const { rounding } = runner;
    this.#blocks = readsRounded && rounding !== null ? new RoundedBlocks(runner, rounding) : null;
    this.#prefix = new LatentBuffer(runner.layers, runner.latentWidth);
    this.#suffix = new LatentBuffer(runner.layers, runner.latentWidth);
  }

  /** Logits of all tokens: the prefix block by block, the rest in `chunks`. */
  async prefill(tokenIds: readonly number[], chunks: readonly number[]): Promise<Float32Array> {
    const logits = new Float32Array(tokenIds.length * this.#runner.vocabularySize);
    for (let index = 0; this.#rows < tokenIds.length; ) {
      const start = this.#rows;
      const isPrefix = start < this.#prefixRows;
      const rows = isPrefix ? blockRows : this.#cut(chunks[index % chunks.length] ?? blockRows);
      logits.set(await this.extend(tokenIds.slice(start, start + rows)), start * this.#runner.vocabularySize);
      if (!isPrefix) index += 1;
    }
    return logits;
  }

  async extend(tokenIds: readonly number[]): Promise<Float32Array> {
    const start = this.#rows;
    const end = start + tokenIds.length;
    // While the prefix grows, its full blocks are the prefix of the next block.
    const isPrefix = start < this.#prefixRows;
    const prefixRows = isPrefix ? start : this.#prefixRows;
    if (!isPrefix) this.#suffix.reserve(end - prefixRows);
    const suffixRows = roundRows(end - prefixRows, this.#runner.rowStep);
    const { logits, latents } = await this.#runner.run({
      sequences: [{ tokenIds, start, wanted: tokenIds.length }],
      prefix: this.#prefix.view(prefixRows),
      prefixRows,
      ...(isPrefix ? {} : await this.#roundBlocks(start)),
      suffix: this.#suffix.view(suffixRows, 0, this.#runner.rowStep),
      suffixRows,
      head: true,
    });
    if (isPrefix) this.#prefix.store(start, tokenIds.length, latents);
    else this.#suffix.store(start - prefixRows, tokenIds.length, latents);
    this.#rows = end;
    return logits;
  }

  /** Rows of answers are computed a block at a time: they read those before in INT8. */
  #cut(rows: number): number {
    return this.#blocks === null ? rows : Math.min(rows, blockRows - (this.#rows % blockRows));
  }

  async #roundBlocks(start: number): Promise<Pick<StepInput, 'rounded' | 'ownBlocks'>> {
    const { rounding } = this.#runner;
    if (this.#blocks === null || rounding === null) return {};
    const prefixRows = this.#prefixRows;
    if (prefixRows > 0) this.#rounded ??= await rounding.round(this.#prefix.view(prefixRows), prefixRows);
    const whole = Math.floor((start - prefixRows) / blockRows);
    await this.#blocks.keep(this, whole, (place) => this.#suffix.view(blockRows, place * blockRows));
    return { rounded: this.#rounded ?? null, ownBlocks: this.#blocks.of([this]) };
  }
}
