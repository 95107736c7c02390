import { AppError } from '../base/errors.ts';
import { LatentBuffer, roundRows } from './kv/latent-buffer.ts';
import { loadReferenceCases, type ReferenceCase } from './model/reference-case.ts';
import { blockRows, type ModelRunner } from './ports.ts';
import { openOrtRunner } from './runtime/ort-runner.ts';

/** Largest difference to the reference, in standard deviations of its logits. */
export const maxRelativeDifference = 2e-3;
/** A greedy step counts only where the reference's best two logits are further apart. */
export const minGreedyMargin = 0.02;

export interface VerifiedCase {
  readonly file: string;
  readonly tokens: number;
  readonly positions: number;
  readonly maxRel: number;
  readonly greedyOk: number;
  readonly greedyTotal: number;
}

export interface VerifyReport {
  readonly ok: boolean;
  readonly maxRel: number;
  readonly greedyOk: number;
  readonly greedyTotal: number;
  readonly cases: readonly VerifiedCase[];
  /** `ok|fail <folder> maxRel=… greedy=n/n` */
  readonly line: string;
}

/**
 * Compares a model folder with the reference logits beside it (`expected*.json`), in `full` precision.
 * Every case runs twice: in blocks, and as the engine runs a request (kept prefix, odd chunks, one token at a time).
 * Throws `input.model-folder` when there is nothing to compare with, and what opening the folder throws.
 */
export async function verifyModel(folder: string, options: { readonly threads: number }): Promise<VerifyReport> {
  const references = await loadReferenceCases(folder);
  const runner = await openOrtRunner(folder, { precision: 'full', threads: options.threads });
  try {
    const cases: VerifiedCase[] = [];
    for (const reference of references) cases.push(await verifyCase(runner, reference));
    return buildReport(folder, cases);
  } finally {
    await runner.close();
  }
}

function buildReport(folder: string, cases: readonly VerifiedCase[]): VerifyReport {
  const maxRel = cases.reduce((worst, one) => worseOf(worst, one.maxRel), 0);
  const greedyOk = cases.reduce((sum, one) => sum + one.greedyOk, 0);
  const greedyTotal = cases.reduce((sum, one) => sum + one.greedyTotal, 0);
  const ok = maxRel <= maxRelativeDifference && greedyOk === greedyTotal;
  const figures = `maxRel=${maxRel.toExponential(2)} greedy=${greedyOk}/${greedyTotal}`;
  return { ok, maxRel, greedyOk, greedyTotal, cases, line: `${ok ? 'ok' : 'fail'} ${folder} ${figures}` };
}

/** Like Math.max, but not-a-number is the worst. */
function worseOf(left: number, right: number): number {
  return Number.isNaN(left) || Number.isNaN(right) ? Number.NaN : Math.max(left, right);
}

interface Schedule {
  readonly prefixRows: number;
  /** Rows of each run, repeated to the end. */
  readonly chunks: readonly number[];
}

/** Whole blocks without a prefix, then a prefix of all full blocks but the last with chunks that cross borders. */
function planSchedules(tokens: number): readonly Schedule[] {
  const prefixRows = Math.max(0, Math.floor((tokens - 1) / blockRows) - 1) * blockRows;
  return [
    { prefixRows: 0, chunks: [blockRows] },
    { prefixRows, chunks: [37, 1, 100, 256, 3] },
  ];
}

async function verifyCase(runner: ModelRunner, reference: ReferenceCase): Promise<VerifiedCase> {
  checkFits(runner, reference);
  const { file, tokenIds, positions, greedy } = reference;
  let maxRel = 0;
  // A step is right when every schedule chooses the reference's token.
  const isRight = greedy.map(() => true);
  for (const schedule of planSchedules(tokenIds.length)) {
    const sequence = new VerifySequence(runner, schedule.prefixRows);
    const logits = await sequence.prefill(tokenIds, schedule.chunks);
    maxRel = worseOf(maxRel, relativeDifference(runner.vocabularySize, logits, reference));
    const chosen = await chooseGreedily(sequence, logits.subarray(-runner.vocabularySize), greedy);
    chosen.forEach((tokenId, step) => {
      if (tokenId !== greedy[step]?.tokenId) isRight[step] = false;
    });
  }
  const compared = isRight.filter((_, step) => (greedy[step]?.margin ?? 0) > minGreedyMargin);
  const greedyOk = compared.filter(Boolean).length;
  return { file, tokens: tokenIds.length, positions: positions.length, maxRel, greedyOk, greedyTotal: compared.length };
}

/** The model's choice at each step, each step fed the reference's choices before it. */
async function chooseGreedily(
  sequence: VerifySequence,
  first: Float32Array,
  greedy: ReferenceCase['greedy'],
): Promise<readonly number[]> {
  const chosen: number[] = [];
  let logits = first;
  for (const { tokenId } of greedy) {
    chosen.push(findBest(logits));
    if (chosen.length < greedy.length) logits = await sequence.extend([tokenId]);
  }
  return chosen;
}

function checkFits(runner: ModelRunner, { file, tokenIds, greedy, vocabularySize }: ReferenceCase): void {
  const tokens = tokenIds.length + greedy.length;
  if (vocabularySize !== runner.vocabularySize) {
    const what = `${file}: logits of ${vocabularySize} entries, the model has ${runner.vocabularySize}`;
    throw new AppError('input.model-folder', what);
  }
  if (tokens > runner.contextTokens) {
    throw new AppError('input.model-folder', `${file}: ${tokens} tokens, the window holds ${runner.contextTokens}`);
  }
}

function relativeDifference(vocabularySize: number, logits: Float32Array, reference: ReferenceCase): number {
  let largest = 0;
  reference.positions.forEach((position, row) => {
    for (let entry = 0; entry < vocabularySize; entry++) {
      const wanted = reference.logits[row * vocabularySize + entry] ?? Number.NaN;
      const met = logits[position * vocabularySize + entry] ?? Number.NaN;
      largest = worseOf(largest, Math.abs(wanted - met));
    }
  });
  return largest / reference.standardDeviation;
}

function findBest(logits: Float32Array): number {
  let best = 0;
  for (let entry = 1; entry < logits.length; entry++) {
    if ((logits[entry] ?? 0) > (logits[best] ?? 0)) best = entry;
  }
  return best;
}

/** One sequence over latents of its own: prefix rows [0, prefixRows), then suffix rows. */
class VerifySequence {
  readonly #runner: ModelRunner;
  readonly #prefixRows: number;
  readonly #prefix: LatentBuffer;
  readonly #suffix: LatentBuffer;
  #rows = 0;

  constructor(runner: ModelRunner, prefixRows: number) {
    this.#runner = runner;
    this.#prefixRows = prefixRows;
    this.#prefix = new LatentBuffer(runner.layers, runner.latentWidth);
    this.#suffix = new LatentBuffer(runner.layers, runner.latentWidth);
  }

  /** Logits of all tokens: the prefix block by block, the rest in `chunks`. */
  async prefill(tokenIds: readonly number[], chunks: readonly number[]): Promise<Float32Array> {
    const logits = new Float32Array(tokenIds.length * this.#runner.vocabularySize);
    for (let index = 0; this.#rows < tokenIds.length; ) {
      const start = this.#rows;
      const isPrefix = start < this.#prefixRows;
      const rows = isPrefix ? blockRows : (chunks[index % chunks.length] ?? blockRows);
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
      suffix: this.#suffix.view(suffixRows, 0, this.#runner.rowStep),
      suffixRows,
      head: true,
    });
    if (isPrefix) this.#prefix.store(start, tokenIds.length, latents);
    else this.#suffix.store(start - prefixRows, tokenIds.length, latents);
    this.#rows = end;
    return logits;
  }
}
