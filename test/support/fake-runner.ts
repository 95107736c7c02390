import { invariant } from '../../src/base/invariant.ts';
import { blockRows, type ModelRunner, type StepInput, type StepOutput } from '../../src/engine/ports.ts';

export interface FakeRunnerOptions {
  readonly vocabularySize: number;
  readonly contextTokens?: number;
  readonly rowStep?: number;
  /** Called before each run; a test may block it, throw, or look at the schedule. */
  readonly onRun?: (input: StepInput) => void | Promise<void>;
}

export type RunShape = Pick<StepInput, 'sequences' | 'prefixRows'>;

const layers = 2;
const width = 4;
const hiddenWidth = 3;

/**
 * A model without weights whose rows depend on every row before them: [fold, position, layer, 1]. A row that is read from
 * the wrong place, too early or too late fails at once, because its position or its fold does not fit.
 */
export function openFakeRunner(options: FakeRunnerOptions): ModelRunner & { readonly runs: readonly RunShape[] } {
  const { vocabularySize, rowStep = blockRows } = options;
  const runs: RunShape[] = [];
  return {
    layers,
    latentWidth: width,
    hiddenWidth,
    vocabularySize,
    contextTokens: options.contextTokens ?? 1 << 20,
    rowStep,
    digest: 'f'.repeat(64),
    runMs: 0,
    runs,
    run: async (input) => {
      const { sequences, prefixRows } = input;
      // not the arrays: they would outlive the engine
      runs.push({ sequences, prefixRows });
      await options.onRun?.(input);
      return runFake(input, vocabularySize, rowStep);
    },
    close: async () => {},
  };
}

function runFake(input: StepInput, vocabularySize: number, rowStep: number): StepOutput {
  const { sequences, prefixRows, suffixRows, head } = input;
  invariant(prefixRows % blockRows === 0 && suffixRows % rowStep === 0 && suffixRows > 0, 'whole blocks');
  const padded = Math.max(...sequences.map(({ tokenIds }) => tokenIds.length));
  const latents = new Float32Array(layers * sequences.length * padded * width);
  const folds: number[] = [];
  sequences.forEach(({ tokenIds, start, wanted }, index) => {
    invariant(tokenIds.length > 0 && wanted <= tokenIds.length, 'a step has tokens');
    invariant(start >= prefixRows && start + padded <= prefixRows + suffixRows, 'new rows fit');
    let fold = 17;
    for (let row = 0; row < start; row++) {
      fold = checkRow(input, index, row, fold);
    }
    for (let at = 0; at < tokenIds.length; at++) {
      fold = mix(fold, tokenIds[at] ?? 0);
      for (let layer = 0; layer < layers; layer++) {
        const to = ((layer * sequences.length + index) * padded + at) * width;
        latents.set([fold, start + at, layer, 1], to);
      }
      if (at >= tokenIds.length - wanted) folds.push(fold);
    }
  });
  return {
    latents,
    logits: head ? Float32Array.from(folds.flatMap((fold) => logitsOf(fold, vocabularySize))) : new Float32Array(0),
    hidden: Float32Array.from(folds.flatMap((fold) => [Math.sin(fold), Math.cos(fold), (fold % 7) - 3])),
  };
}

/** The fold of a row that is there already, after a look whether it is the right one in all layers. */
function checkRow(input: StepInput, index: number, row: number, before: number): number {
  let fold = 0;
  for (let layer = 0; layer < layers; layer++) {
    const isShared = row < input.prefixRows;
    const source = (isShared ? input.prefix[layer] : input.suffix[layer]) as Float32Array;
    const from = (isShared ? row : index * input.suffixRows + row - input.prefixRows) * width;
    const value = source[from] as number;
    const isRight = source[from + 1] === row && source[from + 2] === layer && source[from + 3] === 1;
    // the message would cost more than the check
    if (!isRight || (layer > 0 && value !== fold)) {
      invariant(false, `row ${row} of sequence ${index}, layer ${layer} holds ${source.subarray(from, from + width)}`);
    }
    fold = value;
  }
  // a fold never repeats its predecessor's, so a row of another text is told by the logits that follow from it
  if (fold === before) invariant(false, `row ${row} of sequence ${index} repeats the one before`);
  return fold;
}

/** 23 bits, exact in float32. */
function mix(fold: number, value: number): number {
  let mixed = Math.imul(fold ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(value + 1, 0xc2b2ae35);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0x27d4eb2f);
  mixed ^= mixed >>> 15;
  const folded = mixed & 0x7fffff;
  return folded === fold ? (folded + 1) & 0x7fffff : folded;
}

/** Small letters are likelier than all else by far, so that answers are text; everything above bytes is nearly as likely. */
function logitsOf(fold: number, vocabularySize: number): number[] {
  return Array.from({ length: vocabularySize }, (_, id) => {
    const bonus = id >= 97 && id <= 122 ? 20 : id >= 256 ? 18 : 0;
    return (mix(fold, id) % 1000) / 100 + bonus;
  });
}
