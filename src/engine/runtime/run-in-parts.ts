import { invariant } from '../../base/invariant.ts';
import { blockRows, type LatentLayers, type StepInput, type StepOutput, type StepSequence } from '../ports.ts';

interface Shape {
  readonly layers: number;
  readonly latentWidth: number;
}

/**
 * Runs a step whose attention scores would not fit into memory at once as several: first by sequences, then a single
 * one by rows. The bits are the same, since a row's do not depend on what runs beside it.
 * @param rows most new rows of one part
 */
export async function runInParts(
  shape: Shape,
  input: StepInput,
  rows: number,
  run: (part: StepInput) => Promise<StepOutput>,
): Promise<StepOutput> {
  const { sequences } = input;
  const tokens = longestOf(sequences);
  if (sequences.length * tokens <= rows) return run(input);
  if (sequences.length === 1) return runRows(shape, input, rows, run);
  const perPart = Math.max(1, Math.floor(rows / tokens));
  const parts: { readonly output: StepOutput; readonly count: number; readonly tokens: number }[] = [];
  for (let first = 0; first < sequences.length; first += perPart) {
    const part = partOf(shape, input, first, perPart);
    const output = await runInParts(shape, part, rows, run);
    parts.push({ output, count: part.sequences.length, tokens: longestOf(part.sequences) });
  }
  return {
    logits: joinFloats(parts.map(({ output }) => output.logits)),
    hidden: joinFloats(parts.map(({ output }) => output.hidden)),
    latents: joinLatents(shape, parts, tokens),
  };
}

/** Some of the sequences, neighbours, at most so many, with what is theirs. */
function partOf({ latentWidth }: Shape, input: StepInput, first: number, most: number): StepInput {
  const end = Math.min(first + most, input.sequences.length);
  const { ownBlocks = null, suffix, suffixRows, suffixBlocks } = input;
  const ownFloats = suffixRows * latentWidth;
  return {
    ...input,
    sequences: input.sequences.slice(first, end),
    ownBlocks: ownBlocks === null ? null : { ...ownBlocks, places: ownBlocks.places.slice(first, end) },
    ...(suffixBlocks === undefined
      ? { suffix: suffix.map((own) => own.subarray(first * ownFloats, end * ownFloats)) }
      : { suffixBlocks: suffixBlocks.slice(first, end) }),
  };
}

/** The same step with the own rows of its sequences side by side, copied where they lie in blocks. */
export function gatherSuffix(input: StepInput, latentWidth: number): StepInput {
  const { suffixBlocks, suffix, suffixRows, ...rest } = input;
  if (suffixBlocks === undefined) return input;
  const blockFloats = blockRows * latentWidth;
  const gathered = suffix.map((layer) => {
    const rows = new Float32Array(suffixBlocks.length * suffixRows * latentWidth);
    for (const [sequence, blocks] of suffixBlocks.entries()) {
      const end = (sequence + 1) * suffixRows * latentWidth;
      for (const [place, block] of blocks.entries()) {
        const at = sequence * suffixRows * latentWidth + place * blockFloats;
        const floats = Math.min(blockFloats, end - at);
        if (floats > 0) rows.set(layer.subarray(block * blockFloats, block * blockFloats + floats), at);
      }
    }
    return rows;
  });
  return { ...rest, suffix: gathered, suffixRows };
}

export function longestOf(sequences: readonly StepSequence[]): number {
  return sequences.reduce((longest, { tokenIds }) => Math.max(longest, tokenIds.length), 0);
}

/** A part needs the rows of the parts before it: they go into copies of the suffix, the caller's stays as it is. */
async function runRows(
  { layers, latentWidth }: Shape,
  whole: StepInput,
  rows: number,
  run: (part: StepInput) => Promise<StepOutput>,
): Promise<StepOutput> {
  const input = gatherSuffix(whole, latentWidth);
  const [sequence] = input.sequences;
  invariant(sequence !== undefined, 'one sequence');
  const tokenIds = Array.from(sequence.tokenIds);
  const suffix = input.suffix.map((own) => own.slice(0, input.suffixRows * latentWidth));
  const latents = new Float32Array(layers * tokenIds.length * latentWidth);
  const outputs: StepOutput[] = [];
  for (let done = 0; done < tokenIds.length; done += rows) {
    const ids = tokenIds.slice(done, done + rows);
    const firstWanted = tokenIds.length - sequence.wanted;
    const wanted = Math.max(0, done + ids.length - Math.max(done, firstWanted));
    const start = sequence.start + done;
    const part = await run({ ...input, sequences: [{ tokenIds: ids, start, wanted }], suffix });
    outputs.push(part);
    storeRows(suffix, part.latents, ids.length, latentWidth, start - input.prefixRows);
    for (let layer = 0; layer < layers; layer++) {
      const fresh = part.latents.subarray(layer * ids.length * latentWidth, (layer + 1) * ids.length * latentWidth);
      latents.set(fresh, (layer * tokenIds.length + done) * latentWidth);
    }
  }
  return {
    logits: joinFloats(outputs.map(({ logits }) => logits)),
    hidden: joinFloats(outputs.map(({ hidden }) => hidden)),
    latents,
  };
}

function storeRows(suffix: LatentLayers, latents: Float32Array, tokens: number, width: number, row: number): void {
  suffix.forEach((own, layer) => {
    own.set(latents.subarray(layer * tokens * width, (layer + 1) * tokens * width), row * width);
  });
}

/** One array as it is, several copied into one. */
export function joinFloats(parts: readonly Float32Array[]): Float32Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return only;
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** Parts `[layers, n, its tokens, width]` → `[layers, all n, tokens, width]`; what a shorter part lacks stays zero. */
function joinLatents(
  { layers, latentWidth }: Shape,
  parts: readonly { readonly output: StepOutput; readonly count: number; readonly tokens: number }[],
  tokens: number,
): Float32Array {
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  const joined = new Float32Array(layers * total * tokens * latentWidth);
  for (let layer = 0; layer < layers; layer++) {
    let target = layer * total * tokens * latentWidth;
    for (const { output, count, tokens: own } of parts) {
      for (let sequence = 0; sequence < count; sequence++) {
        const from = (layer * count + sequence) * own * latentWidth;
        joined.set(output.latents.subarray(from, from + own * latentWidth), target);
        target += tokens * latentWidth;
      }
    }
  }
  return joined;
}
