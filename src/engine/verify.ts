import { loadReferenceCases, type ReferenceCase } from './model/reference-case.ts';
import type { ModelRunner } from './ports.ts';
import { openOrtRunner } from './runtime/ort-runner.ts';
import { type Int4Loss, type Loss, measureInt4Loss } from './verify-int4.ts';
import { checkFits, findBest, planSchedules, VerifySequence } from './verify-sequence.ts';

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
  /** What `int4` precision loses against the same references. */
  readonly int4: Int4Loss;
  /** `ok|fail <folder> maxRel=… greedy=n/n int4 rms=… best=n/n[ int8-prefix rms=… best=n/n (float32 rms=… best=n/n)] bits=equal|differ` */
  readonly line: string;
}

/**
 * Compares a model folder with the reference logits beside it (`expected*.json`), in `full` precision.
 * Every case runs twice: in blocks, and as the engine runs a request (kept prefix, odd chunks, one token at a time).
 * In `int4` precision the loss is told, and the two ways must give the same bits.
 * Throws `input.model-folder` when there is nothing to compare with, and what opening the folder throws.
 */
export async function verifyModel(folder: string, options: { readonly threads: number }): Promise<VerifyReport> {
  const references = await loadReferenceCases(folder);
  const cases = await verifyCases(folder, references, options.threads);
  return buildReport(folder, cases, await measureInt4Loss(folder, references, options.threads));
}

/** The float32 model is closed behind it: it is several times the size of the one that comes next. */
async function verifyCases(
  folder: string,
  references: readonly ReferenceCase[],
  threads: number,
): Promise<readonly VerifiedCase[]> {
  const runner = await openOrtRunner(folder, { precision: 'full', threads });
  try {
    const cases: VerifiedCase[] = [];
    for (const reference of references) cases.push(await verifyCase(runner, reference));
    return cases;
  } finally {
    await runner.close();
  }
}

function buildReport(folder: string, cases: readonly VerifiedCase[], int4: Int4Loss): VerifyReport {
  const maxRel = cases.reduce((worst, one) => worseOf(worst, one.maxRel), 0);
  const greedyOk = cases.reduce((sum, one) => sum + one.greedyOk, 0);
  const greedyTotal = cases.reduce((sum, one) => sum + one.greedyTotal, 0);
  const areFinite = Number.isFinite(int4.rms + (int4.behindRounded?.rounded.rms ?? 0));
  const ok = maxRel <= maxRelativeDifference && greedyOk === greedyTotal && int4.sameBits && areFinite;
  const behind =
    int4.behindRounded === null
      ? ''
      : ` int8-prefix ${lossText(int4.behindRounded.rounded)} (float32 ${lossText(int4.behindRounded.float)})`;
  const loss = `int4 ${lossText(int4)}${behind}`;
  const bits = int4.sameBits ? 'equal' : 'differ';
  const figures = `maxRel=${maxRel.toExponential(2)} greedy=${greedyOk}/${greedyTotal} ${loss} bits=${bits}`;
  return { ok, maxRel, greedyOk, greedyTotal, cases, int4, line: `${ok ? 'ok' : 'fail'} ${folder} ${figures}` };
}

function lossText({ rms, sameBest, positions }: Loss): string {
  return `rms=${rms.toExponential(2)} best=${sameBest}/${positions}`;
}

/** Like Math.max, but not-a-number is the worst. */
function worseOf(left: number, right: number): number {
  return Number.isNaN(left) || Number.isNaN(right) ? Number.NaN : Math.max(left, right);
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
