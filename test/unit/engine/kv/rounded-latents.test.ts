import { describe, expect, it } from 'vitest';
import { roundedBlockBytes, roundLatents } from '../../../../src/engine/kv/rounded-latents.ts';
import { blockRows } from '../../../../src/engine/ports.ts';

const [width, valueWidth, blocks] = [6, 4, 2];
const shape = { layers: 2, latentWidth: width, valueWidth };
const shareSteps = 255;

/** Rows of very different size, as latents and rotary keys are. */
function latentsOf(seed: number): Float32Array {
  return Float32Array.from({ length: blocks * blockRows * width }, (_, at) => {
    const row = Math.floor(at / width);
    return Math.sin(at * 1.7 + seed) * 10 ** ((row % 7) - 3) * (at % width < valueWidth ? 1 : 20);
  });
}

const layers = [latentsOf(1), latentsOf(2)];
const rounded = roundLatents(shape, layers, blocks);

describe('roundLatents', () => {
  it('keeps every key within half a step of it, by columns, its row having 127 steps', () => {
    for (const [layer, latents] of layers.entries()) {
      const { keys, keySteps } = rounded[layer] ?? expect.fail();
      for (let row = 0; row < blocks * blockRows; row++) {
        const values = latents.subarray(row * width, (row + 1) * width);
        const largest = Math.max(...values.map(Math.abs));
        const step = keySteps[row] ?? Number.NaN;
        expect(step).toBe(Math.fround(largest / 127));
        const [block, inBlock] = [Math.floor(row / blockRows), row % blockRows];
        for (const [column, value] of values.entries()) {
          const met = keys[(block * width + column) * blockRows + inBlock] ?? Number.NaN;
          expect(Math.abs(met * step - value)).toBeLessThanOrEqual(step * 0.50001);
        }
      }
    }
  });

  it('keeps every value within half a step of its block', () => {
    for (const [layer, latents] of layers.entries()) {
      const { values, valueSteps } = rounded[layer] ?? expect.fail();
      for (let row = 0; row < blocks * blockRows; row++) {
        const step = (valueSteps[Math.floor(row / blockRows)] ?? Number.NaN) * shareSteps;
        for (let column = 0; column < valueWidth; column++) {
          const difference =
            (values[row * valueWidth + column] ?? Number.NaN) * step - (latents[row * width + column] ?? 0);
          expect(Math.abs(difference)).toBeLessThanOrEqual(step * 0.50001);
        }
      }
      const largest = latents.subarray(0, blockRows * width).filter((_, at) => at % width < valueWidth);
      expect(valueSteps[0]).toBe(Math.fround(Math.max(...largest.map(Math.abs)) / 127 / shareSteps));
    }
  });

  it('rounds a block the same whatever lies behind it', () => {
    const [one] = roundLatents(shape, [latentsOf(1)], 1);
    expect(one?.keys).toEqual(rounded[0]?.keys.subarray(0, width * blockRows));
    expect(one?.values).toEqual(rounded[0]?.values.subarray(0, valueWidth * blockRows));
  });

  it('gives zeros for rows that are zero, and steps that are no numbers for rows that are none', () => {
    const zeros = new Float32Array(blockRows * width);
    const [none] = roundLatents(shape, [zeros], 1);
    expect([none?.keys, none?.values, none?.keySteps].every((all) => all?.every((value) => value === 0))).toBe(true);
    const [spoiled] = roundLatents(shape, [zeros.with(width, Number.NaN)], 1);
    expect([...(spoiled?.keySteps.subarray(0, 3) ?? [])]).toEqual([0, Number.NaN, 0]);
    expect([...(spoiled?.valueSteps ?? [])]).toEqual([Number.NaN]);
  });

  it('takes the bytes that the ledger counts', () => {
    const bytes = rounded.flatMap(({ keys, keySteps, values, valueSteps }) =>
      [keys, keySteps, values, valueSteps].map(({ byteLength }) => byteLength),
    );
    expect(bytes.reduce((sum, some) => sum + some, 0)).toBe(blocks * roundedBlockBytes(shape));
  });
});
