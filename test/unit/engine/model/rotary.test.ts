import { describe, expect, it } from 'vitest';
import { computeRotaryRows, inverseFrequencies, softmaxScale } from '../../../../src/engine/model/layers/rotary.ts';
import { parseModelConfig } from '../../../../src/engine/model/model-config.ts';
import { tinyDefaults } from '../../../support/tiny-checkpoint.ts';

const yarn = (factor: number, betaFast: number) => ({
  type: 'yarn',
  factor,
  original_max_position_embeddings: 4096,
  beta_fast: betaFast,
  beta_slow: 1,
  mscale: 1,
  mscale_all_dim: 1,
});

const kimi = (scaling: unknown) =>
  parseModelConfig({
    ...tinyDefaults,
    qk_nope_head_dim: 128,
    qk_rope_head_dim: 64,
    rope_theta: 50000,
    rope_scaling: scaling,
  });

describe('inverseFrequencies', () => {
  it('gives the published values of Kimi K2 Thinking: a step between pairs 19 and 20', () => {
    const found = inverseFrequencies(kimi(yarn(64, 1)).rope, 64);
    const wanted = { 0: 1, 1: 0.713111, 8: 0.066874, 18: 2.2742e-3, 19: 1.62176e-3, 20: 1.80702e-5, 31: 4.38221e-7 };
    for (const [pair, value] of Object.entries(wanted)) expect((found[Number(pair)] ?? 0) / value).toBeCloseTo(1, 5);
  });

  it('ramps between the borders when beta_fast is 32', () => {
    const plain = inverseFrequencies(kimi(null).rope, 64);
    const ramped = inverseFrequencies(kimi(yarn(64, 32)).rope, 64);
    const share = (pair: number): number => (ramped[pair] ?? 0) / (plain[pair] ?? 1);
    expect(share(8)).toBe(1);
    // Pair 14 is halfway from 8 to 20.
    expect(share(14)).toBeCloseTo(0.5 + 0.5 / 64, 6);
    expect(share(20)).toBeCloseTo(1 / 64, 8);
  });
});

describe('softmaxScale', () => {
  it.each([
    ['Kimi K2 Thinking', yarn(64, 1), 0.1446796],
    ['Kimi K2 Instruct', yarn(32, 1), 0.1308608],
    ['Moonlight', null, 0.0721688],
  ])('is that of %s', (_, scaling, wanted) => {
    expect(softmaxScale(kimi(scaling))).toBeCloseTo(wanted, 7);
  });
});

describe('computeRotaryRows', () => {
  it('gives a row the same values wherever a run starts', () => {
    const frequencies = inverseFrequencies(kimi(yarn(64, 1)).rope, 64);
    const whole = computeRotaryRows(frequencies, 1.5, 0, 20);
    const part = computeRotaryRows(frequencies, 1.5, 13, 4);
    expect(part.cos).toEqual(whole.cos.slice(13 * 32, 17 * 32));
    expect(part.sin).toEqual(whole.sin.slice(13 * 32, 17 * 32));
    expect(whole.cos[0]).toBe(1.5);
    expect(whole.sin[32]).toBeCloseTo(1.5 * Math.sin(1), 6);
  });
});
