import { invariant } from '../../src/base/invariant.ts';
import {
  blockRows,
  type LatentRounding,
  type ModelRunner,
  type RoundedLayer,
  type StepInput,
  type StepOutput,
} from '../../src/engine/ports.ts';

export interface FakeRunnerOptions {
  readonly vocabularySize: number;
  readonly contextTokens?: number;
  readonly rowStep?: number;
  /** Rows of prompts are others than those of answers, and are computed so many at a time. */
  readonly promptStep?: number | null;
  /** Whole blocks are read in INT8: those of the prefix, and own ones before the block of new rows. */
  readonly rounds?: boolean;
  /** Most of the time it writes what followed its last token when it stood earlier. */
  readonly quotes?: boolean;
  /** Called before each run; a test may block it, throw, or look at the schedule. */
  readonly onRun?: (input: StepInput) => void | Promise<void>;
}

export type RunShape = Pick<StepInput, 'sequences' | 'prefixRows'>;

const layers = 2;
const width = 5;
const hiddenWidth = 3;

/**
 * A model without weights whose rows depend on every row before them: [fold, position, layer, token, form], the form 2
 * for rows of prompts where these are others, else 1. A row that is read from the wrong place, too early or too late fails
 * at once, because its position or its fold does not fit; and so does a block in INT8 that is missing, or of other rows.
 */
export function openFakeRunner(options: FakeRunnerOptions): ModelRunner & { readonly runs: readonly RunShape[] } {
  const { vocabularySize, rowStep = blockRows, promptStep = null, rounds = false, quotes = false } = options;
  const runs: RunShape[] = [];
  return {
    layers,
    latentWidth: width,
    hiddenWidth,
    vocabularySize,
    contextTokens: options.contextTokens ?? 1 << 20,
    rowStep,
    bulkTokens: null,
    promptStep,
    rounding: rounds ? fakeRounding : null,
    digest: 'f'.repeat(64),
    runMs: 0,
    runs,
    run: async (input) => {
      const { sequences, prefixRows } = input;
      // not the arrays: they would outlive the engine
      runs.push({ sequences, prefixRows });
      await options.onRun?.(input);
      return runFake(input, { vocabularySize, rowStep, promptStep, rounds, quotes });
    },
    close: async () => {},
  };
}

/** What is checked of blocks in INT8, and nothing else: the steps of their rows. */
const fakeRounding: LatentRounding = {
  blockBytes: layers * blockRows * (2 * width + 4),
  round: async (prefix, rows) =>
    prefix.map((layer) => ({
      keys: new Int8Array(),
      keySteps: Float32Array.from({ length: rows }, (_, row) => stepOf(layer, row)),
      values: new Int8Array(),
      valueSteps: new Float32Array(rows / blockRows),
    })),
};

function stepOf(layer: Float32Array, row: number): number {
  return Math.fround(Math.max(...layer.subarray(row * width, (row + 1) * width).map(Math.abs)) / 127);
}

function runFake(
  input: StepInput,
  {
    vocabularySize,
    rowStep,
    promptStep,
    rounds,
    quotes,
  }: Required<Pick<FakeRunnerOptions, 'vocabularySize' | 'rowStep' | 'promptStep' | 'rounds' | 'quotes'>>,
): StepOutput {
  const { sequences, prefixRows, suffixRows, head } = input;
  invariant(prefixRows % blockRows === 0 && suffixRows % rowStep === 0 && suffixRows > 0, 'whole blocks');
  const hasPromptForm = promptStep !== null && input.isPrompt === true;
  if (hasPromptForm) {
    const rows = sequences[0]?.tokenIds.length ?? 0;
    invariant(sequences.length === 1 && rows % promptStep === 0, `${rows} rows of a prompt`);
  }
  const rounded = input.rounded ?? null;
  invariant(rounded === null || rounds, 'nobody reads prefixes in INT8');
  if (rounded !== null) checkRounded(input, rounded);
  const readsBlocks = !hasPromptForm || sequences.some(({ wanted }) => wanted > 0);
  // an embedding reads none, and has no key for them
  if (rounds && readsBlocks && input.ownBlocks !== undefined) checkBlocks(input, promptStep !== null);
  const form = hasPromptForm ? 2 : 1;
  const padded = Math.max(...sequences.map(({ tokenIds }) => tokenIds.length));
  const latents = new Float32Array(layers * sequences.length * padded * width);
  const wantedRows: { readonly fold: number; readonly quoted: number | null }[] = [];
  sequences.forEach(({ tokenIds, start, wanted }, index) => {
    invariant(tokenIds.length > 0 && wanted <= tokenIds.length, 'a step has tokens');
    invariant(start >= prefixRows && start + padded <= prefixRows + suffixRows, 'new rows fit');
    let fold = 17;
    const text: number[] = [];
    for (let row = 0; row < start; row++) {
      fold = checkRow(input, index, row, fold, text);
    }
    checkMasked(input, index, start - prefixRows);
    for (let at = 0; at < tokenIds.length; at++) {
      const token = tokenIds[at] ?? 0;
      fold = mix(fold, formed(token, form));
      text.push(token);
      for (let layer = 0; layer < layers; layer++) {
        const to = ((layer * sequences.length + index) * padded + at) * width;
        latents.set([fold, start + at, layer, token, form], to);
      }
      if (at < tokenIds.length - wanted) continue;
      wantedRows.push({ fold, quoted: quotes && fold % 8 > 0 ? findQuoted(text) : null });
    }
  });
  return {
    latents,
    logits: Float32Array.from(head ? wantedRows.flatMap((row) => logitsOf(row, vocabularySize)) : []),
    hidden: Float32Array.from(wantedRows.flatMap(({ fold }) => [Math.sin(fold), Math.cos(fold), (fold % 7) - 3])),
  };
}

/** What followed the last token when it stood before; null: it never did. */
function findQuoted(text: readonly number[]): number | null {
  const place = text.lastIndexOf(text.at(-1) ?? -1, -2);
  return place < 0 ? null : (text[place + 1] ?? null);
}

/** The fold of a row that is there already, after a look whether it is the right one in all layers. */
function checkRow(input: StepInput, index: number, row: number, before: number, text: number[]): number {
  let fold = 0;
  let form = 0;
  for (let layer = 0; layer < layers; layer++) {
    const isShared = row < input.prefixRows;
    const source = (isShared ? input.prefix[layer] : input.suffix[layer]) as Float32Array;
    const from = (isShared ? row : ownRow(input, index, row - input.prefixRows)) * width;
    const value = source[from] as number;
    const isRight = source[from + 1] === row && source[from + 2] === layer && (source[from + 4] as number) >= 1;
    // the message would cost more than the check
    if (!isRight || (layer > 0 && value !== fold)) {
      invariant(false, `row ${row} of sequence ${index}, layer ${layer} holds ${source.subarray(from, from + width)}`);
    }
    fold = value;
    text[row] = source[from + 3] as number;
    form = source[from + 4] as number;
  }
  if (fold !== mix(before, formed(text[row] ?? 0, form)))
    invariant(false, `row ${row} of sequence ${index} is of another text`);
  return fold;
}

/** They are of this prefix, all of it: each row's step is a 127th of its largest value. */
function checkRounded({ prefix, prefixRows }: StepInput, rounded: readonly RoundedLayer[]): void {
  for (const [layer, { keySteps, valueSteps }] of rounded.entries()) {
    invariant(valueSteps.length * blockRows === prefixRows, `${valueSteps.length} blocks of ${prefixRows} rows`);
    for (let row = 0; row < prefixRows; row++) {
      if (keySteps[row] !== stepOf(prefix[layer] as Float32Array, row))
        invariant(false, `row ${row} of the prefix is rounded to ${keySteps[row]}`);
    }
  }
}

/** Of a block in INT8, enough to tell it from any other: all would take longer than all else here. */
const probedRows = [0, 85, 170, 255];

/** Rows of answers read all of the prefix in INT8, and all own blocks before theirs. @param isExact the last of them, too */
function checkBlocks(input: StepInput, isExact: boolean): void {
  const { sequences, prefixRows, rounded, ownBlocks, suffix } = input;
  invariant(prefixRows === 0 || (rounded ?? null) !== null, 'the prefix is read in INT8');
  for (const [index, { start, tokenIds }] of sequences.entries()) {
    const places = ownBlocks?.places[index] ?? [];
    const before = Math.floor((start - prefixRows) / blockRows);
    invariant(places.length === before, `${places.length} blocks in INT8 of ${before} before row ${start}`);
    const lastBlock = Math.floor((start + tokenIds.length - 1 - prefixRows) / blockRows);
    invariant(!isExact || lastBlock === before, `${tokenIds.length} rows from ${start} in several blocks`);
    for (const [layer, own] of suffix.entries()) {
      for (const [place, block] of places.entries()) {
        const steps = ownBlocks?.layers[layer]?.keySteps ?? new Float32Array();
        const isTheirs = probedRows.every((row) => {
          return steps[block * blockRows + row] === stepOf(own, ownRow(input, index, place * blockRows + row));
        });
        if (!isTheirs) invariant(false, `block ${place} of sequence ${index} is not what is in INT8`);
      }
    }
  }
}

/** Rows behind those that are there are read too, masked: they must be finite, since NaN times zero is NaN. */
function checkMasked(input: StepInput, index: number, first: number): void {
  const { suffix, suffixRows, suffixBlocks } = input;
  const end = suffixBlocks === undefined ? suffixRows : (suffixBlocks[index]?.length ?? 0) * blockRows;
  for (const layer of suffix) {
    for (let row = first; row < end; row++) {
      const from = ownRow(input, index, row) * width;
      if (!layer.subarray(from, from + width).every(Number.isFinite))
        invariant(false, `sequence ${index} has rows behind row ${first} that are not finite`);
    }
  }
}

/** Where an own row of a sequence is in the suffix. */
function ownRow({ suffixRows, suffixBlocks }: StepInput, sequence: number, row: number): number {
  if (suffixBlocks === undefined) return sequence * suffixRows + row;
  const block = suffixBlocks[sequence]?.[Math.floor(row / blockRows)];
  invariant(block !== undefined, `sequence ${sequence} has no block with row ${row}`);
  return block * blockRows + (row % blockRows);
}

/** What a row folds in: the same token is another one in a prompt. */
const formed = (token: number, form: number): number => token + (form - 1) * 1_000;

/** 23 bits, exact in float32. */
function mix(fold: number, value: number): number {
  let mixed = Math.imul(fold ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(value + 1, 0xc2b2ae35);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0x27d4eb2f);
  mixed ^= mixed >>> 15;
  const folded = mixed & 0x7fffff;
  return folded === fold ? (folded + 1) & 0x7fffff : folded;
}

/**
 * A quoted token is likelier than all others. Else small letters are, by far, so that answers are text; everything above
 * bytes is nearly as likely.
 */
function logitsOf(
  { fold, quoted }: { readonly fold: number; readonly quoted: number | null },
  vocabularySize: number,
): number[] {
  return Array.from({ length: vocabularySize }, (_, id) => {
    if (id === quoted) return 36;
    const bonus = id >= 97 && id <= 122 ? 20 : id >= 256 ? 18 : 0;
    return (mix(fold, id) % 1000) / 100 + bonus;
  });
}
