import { describe, expect, it } from 'vitest';
import type { StepInput, StepOutput } from '../../../../src/engine/ports.ts';
import { gatherSuffix, runInParts } from '../../../../src/engine/runtime/run-in-parts.ts';

const shape = { layers: 2, latentWidth: 3 };

/** Rows of a layer that tell where they lie. */
const rowsOf = (layer: number, total: number): Float32Array =>
  Float32Array.from({ length: total * 3 }, (_, at) => layer * 10_000 + Math.floor(at / 3));

const stepOf = (more: Partial<StepInput>): StepInput => ({
  sequences: [],
  prefix: [],
  prefixRows: 0,
  suffix: [0, 1].map((layer) => rowsOf(layer, 5 * 256)),
  suffixRows: 512,
  head: false,
  ...more,
});

/** First value of a sequence's row. */
const rowAt = ({ suffix, suffixRows }: StepInput, layer: number, sequence: number, row: number): number | undefined =>
  suffix[layer]?.[(sequence * suffixRows + row) * 3];

describe('gatherSuffix', () => {
  it('puts the rows of each sequence side by side, and zero where it has none', () => {
    const gathered = gatherSuffix(stepOf({ suffixBlocks: [[4, 1], [2]] }), 3);
    expect(gathered.suffixBlocks).toBe(undefined);
    expect([0, 1].map((layer) => rowAt(gathered, layer, 0, 0))).toEqual([1_024, 11_024]);
    expect([255, 256, 511].map((row) => rowAt(gathered, 1, 0, row))).toEqual([11_279, 10_256, 10_511]);
    expect([0, 255, 256, 511].map((row) => rowAt(gathered, 0, 1, row))).toEqual([512, 767, 0, 0]);
    expect(gathered.suffix.map(({ length }) => length)).toEqual([2 * 512 * 3, 2 * 512 * 3]);
  });

  it('takes no more rows than a sequence may have', () => {
    const gathered = gatherSuffix(stepOf({ suffixBlocks: [[3], [0]], suffixRows: 32 }), 3);
    expect([0, 31].map((row) => rowAt(gathered, 0, 0, row))).toEqual([768, 799]);
    expect([0, 31].map((row) => rowAt(gathered, 0, 1, row))).toEqual([0, 31]);
  });

  it('leaves rows that lie side by side as they are', () => {
    const step = stepOf({});
    expect(gatherSuffix(step, 3)).toBe(step);
  });
});

describe('runInParts', () => {
  const sequences = [3, 1, 2, 2].map((tokens, index) => ({
    tokenIds: Array.from({ length: tokens }, () => index),
    start: index,
    wanted: 1,
  }));

  /** Latents tell sequence and token, logits the first own row of the sequence. */
  function record(parts: StepInput[]) {
    return async (part: StepInput): Promise<StepOutput> => {
      parts.push(part);
      const padded = Math.max(...part.sequences.map(({ tokenIds }) => tokenIds.length));
      const latents = [0, 1].flatMap((layer) =>
        part.sequences.flatMap(({ tokenIds }) =>
          Array.from({ length: padded }, (_, token) => [layer, tokenIds[0] ?? -1, token]).flat(),
        ),
      );
      const own = part.sequences.map((_, index) => (part.suffixBlocks?.[index] ?? [])[0] ?? -1);
      return { latents: Float32Array.from(latents), logits: Float32Array.from(own), hidden: new Float32Array() };
    };
  }

  it('gives each part its sequences, their own blocks in float32 and in INT8', async () => {
    const parts: StepInput[] = [];
    const suffixBlocks = [[4], [3], [2, 0], [1]];
    const ownBlocks = { layers: [], places: [[], [7], [8, 9], []] };
    const output = await runInParts(shape, stepOf({ sequences, suffixBlocks, ownBlocks }), 6, record(parts));
    expect(parts.map((part) => part.suffixBlocks)).toEqual([
      [[4], [3]],
      [[2, 0], [1]],
    ]);
    expect(parts.map((part) => part.ownBlocks?.places)).toEqual([
      [[], [7]],
      [[8, 9], []],
    ]);
    expect([...output.logits]).toEqual([4, 3, 2, 1]);
    // padded to the longest of all
    expect(output.latents).toHaveLength(2 * 4 * 3 * 3);
    expect([...output.latents.slice(2 * 3 * 3, 2 * 3 * 3 + 6)]).toEqual([0, 2, 0, 0, 2, 1]);
  });

  it('gives the rows of one long sequence to those behind them, which lie in blocks', async () => {
    const parts: StepInput[] = [];
    const long = { tokenIds: Array.from({ length: 300 }, () => 5), start: 200, wanted: 1 };
    const step = stepOf({ sequences: [long], suffixBlocks: [[4, 1]], suffixRows: 512 });
    await runInParts(shape, step, 128, record(parts));
    expect(parts.map((part) => part.sequences[0]?.start)).toEqual([200, 328, 456]);
    const last = parts.at(-1) ?? expect.fail();
    expect(rowAt(last, 1, 0, 0)).toBe(11_024);
    // the second value of a row that the part before has made
    expect(last.suffix[1]?.[(200 + 128) * 3 + 1]).toBe(5);
    expect(step.suffix[1]?.[(1_024 + 200) * 3 + 1]).toBe(11_224);
  });
});
