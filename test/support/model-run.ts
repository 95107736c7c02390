import { LatentBuffer, roundRows } from '../../src/engine/kv/latent-buffer.ts';
import { blockRows, type ModelRunner } from '../../src/engine/ports.ts';

export interface RunPlan {
  /** Rows that go to the prefix, block by block, before anything else. */
  readonly prefixRows: number;
  /** Rows of each later run, repeated to the end. */
  readonly chunks: readonly number[];
}

export interface SequenceResult {
  /** [tokens, vocabulary] */
  readonly logits: Float32Array;
  /** [tokens, width] of each layer */
  readonly latents: readonly Float32Array[];
}

/** Runs a whole sequence by a plan, through latent buffers as the engine does. */
export async function runSequence(
  runner: ModelRunner,
  tokenIds: readonly number[],
  plan: RunPlan,
): Promise<SequenceResult> {
  const { vocabularySize, layers, latentWidth } = runner;
  const prefix = new LatentBuffer(layers, latentWidth);
  const suffix = new LatentBuffer(layers, latentWidth);
  const logits = new Float32Array(tokenIds.length * vocabularySize);
  const all = Array.from({ length: layers }, () => new Float32Array(tokenIds.length * latentWidth));
  let chunk = 0;
  for (let start = 0; start < tokenIds.length; ) {
    const isPrefix = start < plan.prefixRows;
    const wanted = isPrefix ? blockRows : (plan.chunks[chunk++ % plan.chunks.length] ?? blockRows);
    const ids = tokenIds.slice(start, start + wanted);
    const prefixRows = isPrefix ? start : plan.prefixRows;
    const own = start - prefixRows;
    suffix.reserve(own + ids.length);
    const suffixRows = roundRows(own + ids.length, runner.rowStep);
    const output = await runner.run({
      sequences: [{ tokenIds: ids, start, wanted: ids.length }],
      prefix: prefix.view(prefixRows),
      prefixRows,
      suffix: suffix.view(suffixRows, 0, runner.rowStep),
      suffixRows,
      head: true,
    });
    (isPrefix ? prefix : suffix).store(isPrefix ? start : own, ids.length, output.latents);
    logits.set(output.logits, start * vocabularySize);
    all.forEach((rows, layer) => {
      const size = ids.length * latentWidth;
      rows.set(output.latents.subarray(layer * size, (layer + 1) * size), start * latentWidth);
    });
    start += ids.length;
  }
  return { logits, latents: all };
}

export function largestDifference(left: ArrayLike<number>, right: ArrayLike<number>): number {
  if (left.length !== right.length) return Number.NaN;
  let largest = 0;
  for (let index = 0; index < left.length; index++) {
    const difference = Math.abs((left[index] ?? Number.NaN) - (right[index] ?? Number.NaN));
    if (Number.isNaN(difference)) return Number.NaN;
    largest = Math.max(largest, difference);
  }
  return largest;
}

/** To the last bit. */
export function areSame(left: Float32Array, right: Float32Array): boolean {
  return Buffer.from(left.buffer).equals(Buffer.from(right.buffer));
}

/** Root mean square of the difference over that of the values. */
export function relativeError(met: Float32Array, wanted: Float32Array): number {
  let [squares, size] = [0, 0];
  for (const [index, value] of wanted.entries()) {
    squares += ((met[index] ?? Number.NaN) - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(squares / size);
}
