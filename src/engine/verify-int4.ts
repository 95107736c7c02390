import type { ReferenceCase } from './model/reference-case.ts';
import type { ModelRunner } from './ports.ts';
import { openOrtRunner } from './runtime/ort-runner.ts';
import { checkFits, findBest, planSchedules, VerifySequence } from './verify-sequence.ts';

export interface Loss {
  /** Root mean square of the difference to the reference logits, in their standard deviations. */
  readonly rms: number;
  /** Positions whose best token is the reference's. */
  readonly sameBest: number;
  readonly positions: number;
}

/** What INT4 and INT8 products change, over all reference positions. */
export interface Int4Loss extends Loss {
  /**
   * Of the positions behind a prefix that requests read in INT8: with it so, and in float32; null: there are none, or no
   * prefix is read so.
   */
  readonly behindRounded: { readonly rounded: Loss; readonly float: Loss } | null;
  /** Logits of all positions are the same bytes in blocks and in odd chunks behind a kept prefix, in INT8 too. */
  readonly sameBits: boolean;
}

/** Throws what opening the folder throws. */
export async function measureInt4Loss(
  folder: string,
  references: readonly ReferenceCase[],
  threads: number,
): Promise<Int4Loss> {
  const runner = await openOrtRunner(folder, { precision: 'int4', threads });
  const all = new LossSum(runner.vocabularySize);
  const behind = { rounded: new LossSum(runner.vocabularySize), float: new LossSum(runner.vocabularySize) };
  let sameBits = true;
  try {
    for (const reference of references) {
      checkFits(runner, reference);
      const [whole, split] = planSchedules(reference.tokenIds.length);
      const inBlocks = await run(runner, reference, whole);
      all.add(reference, inBlocks, 0);
      sameBits &&= sameBytes(inBlocks, await run(runner, reference, split));
      const { prefixRows } = split;
      if (runner.rounding === null || prefixRows === 0) continue;
      const rounded = await run(runner, reference, split, true);
      behind.float.add(reference, inBlocks, prefixRows);
      behind.rounded.add(reference, rounded, prefixRows);
      sameBits &&= sameBytes(rounded, await run(runner, reference, { ...whole, prefixRows }, true));
    }
  } finally {
    await runner.close();
  }
  const rounded = behind.rounded.total;
  const behindRounded = rounded.positions === 0 ? null : { rounded, float: behind.float.total };
  return { ...all.total, behindRounded, sameBits };
}

function run(
  runner: ModelRunner,
  { tokenIds }: ReferenceCase,
  { prefixRows, chunks }: ReturnType<typeof planSchedules>[number],
  readsRounded = false,
): Promise<Float32Array> {
  return new VerifySequence(runner, prefixRows, readsRounded).prefill(tokenIds, chunks);
}

class LossSum {
  readonly #width: number;
  #squares = 0;
  #sameBest = 0;
  #positions = 0;

  constructor(vocabularySize: number) {
    this.#width = vocabularySize;
  }

  /** Positions from `first` on. @param logits of all tokens */
  add(reference: ReferenceCase, logits: Float32Array, first: number): void {
    const width = this.#width;
    for (const [row, position] of reference.positions.entries()) {
      if (position < first) continue;
      const wanted = reference.logits.subarray(row * width, (row + 1) * width);
      const met = logits.subarray(position * width, (position + 1) * width);
      for (let entry = 0; entry < width; entry++) {
        const error = (met[entry] ?? Number.NaN) - (wanted[entry] ?? Number.NaN);
        this.#squares += (error / reference.standardDeviation) ** 2;
      }
      this.#positions += 1;
      if (findBest(met) === findBest(wanted)) this.#sameBest += 1;
    }
  }

  get total(): Loss {
    const rms = Math.sqrt(this.#squares / (this.#positions * this.#width));
    return { rms, sameBest: this.#sameBest, positions: this.#positions };
  }
}

function sameBytes(left: Float32Array, right: Float32Array): boolean {
  const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(left).equals(bytes(right));
}
