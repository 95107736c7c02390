import { describe, expect, it } from 'vitest';
import type { StepInput } from '../../../../src/engine/ports.ts';
import { partRows } from '../../../../src/engine/runtime/part-rows.ts';

const step = (keys: number, isPrompt: boolean, sequences = 1, tokens = 1_024): StepInput => ({
  sequences: Array.from({ length: sequences }, () => ({
    tokenIds: Array.from({ length: tokens }, () => 1),
    start: keys - 1_024,
    wanted: 0,
  })),
  prefix: [],
  prefixRows: keys - 1_024,
  suffix: [],
  suffixRows: 1_024,
  head: false,
  isPrompt,
});

const exact = { bulkTokens: 1_024, promptStep: 64, heads: 16, maxScores: 2 ** 26 };
const fast = { ...exact, promptStep: null };
const device = { ...fast, bulkTokens: null };

describe('partRows', () => {
  it.each([
    ['a prompt of the exact form: scores of two heads, in steps', exact, step(10_240, true), 3_264],
    ['a long one', exact, step(2 ** 17, true), 256],
    ['one of 256K: no fewer rows than expanding all keys is worth', exact, step(2 ** 18, true), 256],
    ['other rows of the exact form: scores of all heads', exact, step(10_240, false), 409],
    ['other rows behind very many: one at least', { ...exact, maxScores: 1_000 }, step(10_240, false), 1],
    ['one sequence of the fast form, whole', fast, step(10_240, false), 1_024],
    ['one in two parts', fast, step(2 ** 16, false), 512],
    ['one in two parts, not of 600 and 424', fast, step(55_924, false), 512],
    ['one whose last part would be short: of all heads', fast, step(2 ** 16, false, 1, 1_023), 64],
    ['one that is short: of all heads', fast, step(2 ** 16, false, 1, 511), 64],
    ['one where scores of enough rows do not fit', fast, step(2 ** 17, false), 32],
    ['several sequences', fast, step(10_240, false, 2), 409],
    ['a device, which expands nothing', device, step(10_240, false), 409],
  ])('of %s', (_, limits, input, rows) => {
    expect(partRows(input, limits)).toBe(rows);
  });
});
