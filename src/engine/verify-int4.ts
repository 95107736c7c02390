import type { ReferenceCase } from './model/reference-case.ts';
import { openOrtRunner } from './runtime/ort-runner.ts';
import { checkFits, findBest, planSchedules, VerifySequence } from './verify-sequence.ts';

/** What INT4 and INT8 products change, over all reference positions. */
export interface Int4Loss {
  /** Root mean square of the difference to the reference logits, in their standard deviations. */
  readonly rms: number;
  /** Positions whose best token is the reference's. */
  readonly sameBest: number;
  readonly positions: number;
  /** Logits of all positions are the same bytes in blocks and in odd chunks behind a kept prefix. */
  readonly sameBits: boolean;
}

/** Throws what opening the folder throws. */
export async function measureInt4Loss(
  folder: string,
  references: readonly ReferenceCase[],
  threads: number,
): Promise<Int4Loss> {
  const runner = await openOrtRunner(folder, { precision: 'int4', threads });
  let squares = 0;
  let values = 0;
  let sameBest = 0;
  let positions = 0;
  let sameBits = true;
  try {
    for (const reference of references) {
      checkFits(runner, reference);
      const [first, ...others] = await runSchedules(runner, reference);
      sameBits &&= others.every((logits) => sameBytes(first, logits));
      const width = runner.vocabularySize;
      for (const [row, position] of reference.positions.entries()) {
        const wanted = reference.logits.subarray(row * width, (row + 1) * width);
        const met = first.subarray(position * width, (position + 1) * width);
        for (let entry = 0; entry < width; entry++) {
          const error = (met[entry] ?? Number.NaN) - (wanted[entry] ?? Number.NaN);
          squares += (error / reference.standardDeviation) ** 2;
        }
        values += width;
        positions += 1;
        if (findBest(met) === findBest(wanted)) sameBest += 1;
      }
    }
  } finally {
    await runner.close();
  }
  return { rms: Math.sqrt(squares / values), sameBest, positions, sameBits };
}

async function runSchedules(
  runner: Awaited<ReturnType<typeof openOrtRunner>>,
  { tokenIds }: ReferenceCase,
): Promise<[Float32Array, ...Float32Array[]]> {
  const run = ({ prefixRows, chunks }: ReturnType<typeof planSchedules>[number]): Promise<Float32Array> =>
    new VerifySequence(runner, prefixRows).prefill(tokenIds, chunks);
  const [first, ...others] = planSchedules(tokenIds.length);
  return [await run(first), ...(await Promise.all(others.map(run)))];
}

function sameBytes(left: Float32Array, right: Float32Array): boolean {
  const bytes = (values: Float32Array): Buffer => Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return bytes(left).equals(bytes(right));
}
