import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../src/engine/model/model-config.ts';
import { blockRows, type RoundedLayer } from '../../src/engine/ports.ts';
import { SessionRounding } from '../../src/engine/runtime/latent-rounding.ts';
import { tinyDefaults } from '../support/tiny-checkpoint.ts';

const [width, valueWidth] = [6, 4];
/** More than are rounded in one run. */
const blocks = 11;
const config = parseModelConfig({
  ...tinyDefaults,
  num_hidden_layers: 2,
  kv_lora_rank: valueWidth,
  qk_rope_head_dim: width - valueWidth,
});

/** Rows of very different size, as latents and rotary keys are. */
function latentsOf(seed: number): Float32Array {
  return Float32Array.from({ length: blocks * blockRows * width }, (_, at) => {
    const row = Math.floor(at / width);
    return Math.sin(at * 1.7 + seed) * 10 ** ((row % 7) - 3) * (at % width < valueWidth ? 1 : 20);
  });
}

const layers = [latentsOf(1), latentsOf(2)];
const largestOf = (values: ArrayLike<number>): number => Math.max(...Array.from(values, Math.abs));
/** Steps are computed in single precision. */
const half = 0.50002;

describe.each([1, 2, 3])('SessionRounding with %i threads', (threads) => {
  let rounding: SessionRounding;
  let rounded: readonly RoundedLayer[];
  beforeAll(async () => {
    rounding = await SessionRounding.open(config, threads);
    rounded = await rounding.round(layers, blocks * blockRows);
  });
  afterAll(() => rounding.close());

  it('keeps every key within half a step of it, by columns, its row having 127 steps', () => {
    for (const [layer, latents] of layers.entries()) {
      const { keys, keySteps } = rounded[layer] ?? expect.fail();
      let worst = 0;
      for (let row = 0; row < blocks * blockRows; row++) {
        const values = latents.subarray(row * width, (row + 1) * width);
        const step = keySteps[row] ?? Number.NaN;
        expect(step / (largestOf(values) / 127)).toBeCloseTo(1, 6);
        const [block, inBlock] = [Math.floor(row / blockRows), row % blockRows];
        const met = Array.from(
          values,
          (_, column) => keys[(block * width + column) * blockRows + inBlock] ?? Number.NaN,
        );
        worst = Math.max(worst, ...met.map((whole, column) => Math.abs(whole - (values[column] ?? 0) / step)));
      }
      expect(worst).toBeGreaterThan(0.4);
      expect(worst).toBeLessThan(half);
    }
  });

  it('keeps every value within half a step of its block', () => {
    for (const [layer, latents] of layers.entries()) {
      const { values, valueSteps } = rounded[layer] ?? expect.fail();
      for (let block = 0; block < blocks; block++) {
        const own = latents
          .subarray(block * blockRows * width, (block + 1) * blockRows * width)
          .filter((_, at) => at % width < valueWidth);
        const step = (valueSteps[block] ?? Number.NaN) * 255;
        expect(step / (largestOf(own) / 127)).toBeCloseTo(1, 6);
        const met = values.subarray(block * own.length, (block + 1) * own.length);
        expect(largestOf(own.map((value, at) => (met[at] ?? Number.NaN) - value / step))).toBeLessThan(half);
      }
    }
  });

  it('rounds a block the same whatever lies behind it', async () => {
    const [one] = await rounding.round([latentsOf(1)], blockRows);
    expect(one?.keys).toEqual(rounded[0]?.keys.subarray(0, width * blockRows));
    expect(one?.values).toEqual(rounded[0]?.values.subarray(0, valueWidth * blockRows));
    expect(one?.keySteps).toEqual(rounded[0]?.keySteps.subarray(0, blockRows));
  });

  it('gives zeros for rows that are zero, and steps that are no numbers for rows that are none', async () => {
    const zeros = new Float32Array(blockRows * width);
    const [none] = await rounding.round([zeros], blockRows);
    expect([none?.keys, none?.values].every((all) => all?.every((value) => value === 0))).toBe(true);
    expect([none?.keySteps, none?.valueSteps].every((all) => all?.every((step) => step < 1e-30))).toBe(true);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const [spoiled] = await rounding.round([zeros.with(width, value)], blockRows);
      expect([0, 1, 2].map((row) => Number.isFinite(spoiled?.keySteps[row]))).toEqual([true, false, true]);
      expect([...(spoiled?.valueSteps ?? [])]).toEqual([Number.NaN]);
    }
  });

  it('takes the bytes that the ledger counts', () => {
    const bytes = rounded.flatMap(({ keys, keySteps, values, valueSteps }) =>
      [keys, keySteps, values, valueSteps].map(({ byteLength }) => byteLength),
    );
    expect(bytes.reduce((sum, some) => sum + some, 0)).toBe(blocks * rounding.blockBytes);
  });
});
