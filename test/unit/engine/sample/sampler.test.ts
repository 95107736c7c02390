import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSampler, type SamplerOptions } from '../../../../src/engine/sample/sampler.ts';

const excluded = Number.NEGATIVE_INFINITY;

const draw = (logits: readonly number[], options: Partial<SamplerOptions>, total: number): readonly number[] => {
  const sampler = openSampler({ seed: 1, temperature: 1, topP: 1, ...options });
  return Array.from({ length: total }, () => sampler.sample(Float32Array.from(logits)));
};

const share = (ids: readonly number[], id: number): number => ids.filter((other) => other === id).length / ids.length;

describe('openSampler, greedy', () => {
  it('takes the highest logit, the lowest id of equals, and draws nothing', () => {
    const sampler = openSampler({ seed: 1, temperature: 0, topP: 0.5 });
    expect(sampler.sample(Float32Array.from([excluded, 1, 3, 3, 2]))).toBe(2);
    expect(sampler.sample(Float32Array.from([-5, -5]))).toBe(0);
    expect(sampler.state()).toEqual({ draws: 0 });
  });
});

describe('openSampler, random', () => {
  it('follows the softmax of the logits over the temperature', () => {
    const logits = [Math.log(0.6), Math.log(0.3), Math.log(0.1)];
    const ids = draw(logits, {}, 20_000);
    // 0.6 ± five standard deviations
    expect(Math.abs(share(ids, 0) - 0.6)).toBeLessThan(0.018);
    expect(Math.abs(share(ids, 2) - 0.1)).toBeLessThan(0.011);
    const sharp = draw(logits, { temperature: 0.5 }, 20_000);
    expect(Math.abs(share(sharp, 0) - 0.36 / 0.46)).toBeLessThan(0.016);
  });

  it('keeps the smallest set that holds topP, the token that crosses it included', () => {
    const logits = [Math.log(0.1), Math.log(0.5), Math.log(0.4)];
    expect(new Set(draw(logits, { topP: 0.5 }, 500))).toEqual(new Set([1]));
    expect(new Set(draw(logits, { topP: 0.51 }, 500))).toEqual(new Set([1, 2]));
    expect(new Set(draw(logits, { topP: 0.95 }, 500))).toEqual(new Set([0, 1, 2]));
  });

  it('takes the lower ids first where a set of equals is cut', () => {
    expect(new Set(draw([0, 0, 0, 0], { topP: 0.5 }, 500))).toEqual(new Set([0, 1]));
  });

  it('finds the same set as a full sort', () => {
    const options = { seed: 3, numRuns: 200 };
    const anyLogits = fc.array(fc.float({ min: -60, max: 60, noNaN: true }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(anyLogits, fc.double({ min: 0.01, max: 0.999, noNaN: true }), (logits, topP) => {
        const exact = Float32Array.from(logits);
        const top = Math.max(...exact);
        // by weight: logits that differ by less than exp can tell are equals
        const weightOf = (id: number): number => Math.exp((exact[id] ?? 0) - top);
        const sorted = [...exact.keys()].sort((a, b) => weightOf(b) - weightOf(a) || a - b);
        const weights = sorted.map(weightOf);
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        let [size, mass] = [0, 0];
        // a hair more than topP: sums in another order may round differently at the border
        while (size < sorted.length && mass < total * topP * (1 + 1e-9)) mass += weights[size++] ?? 0;
        const allowed = sorted.slice(0, size);
        for (const id of draw([...exact], { topP }, 20)) expect(allowed).toContain(id);
      }),
      options,
    );
  });

  it('never takes an excluded token', () => {
    expect(new Set(draw([excluded, 0, excluded, 0], {}, 300))).toEqual(new Set([1, 3]));
    expect(draw([excluded, -80, excluded], { temperature: 0.01 }, 3)).toEqual([1, 1, 1]);
  });

  it('repeats itself for a seed and goes on from its saved state', () => {
    const logits = Float32Array.from({ length: 100 }, (_, id) => Math.sin(id));
    const options = { seed: 9, temperature: 1, topP: 0.9 };
    const sampler = openSampler(options);
    const before = Array.from({ length: 10 }, () => sampler.sample(logits));
    const resumed = openSampler(options, sampler.state());
    const after = Array.from({ length: 10 }, () => resumed.sample(logits));
    expect([...before, ...after]).toEqual(draw([...logits], options, 20));
  });

  it('leaves the logits as they are', () => {
    const logits = Float32Array.from([1, 2, 3]);
    openSampler({ seed: 1, temperature: 0.7, topP: 0.8 }).sample(logits);
    expect([...logits]).toEqual([1, 2, 3]);
  });
});

describe('openSampler, refusals', () => {
  it.each([
    ['NaN', [0, Number.NaN]],
    ['infinity', [0, Number.POSITIVE_INFINITY]],
    ['nothing but excluded tokens', [excluded, excluded]],
    ['no logits', []],
  ])('rejects %s as a mistake of ours', (_, logits) => {
    for (const temperature of [0, 1]) {
      expect(() => draw(logits, { temperature }, 1)).toThrowError(expect.objectContaining({ code: 'bug.invariant' }));
    }
  });

  it.each([
    ['temperature', { temperature: -1 }],
    ['temperature', { temperature: Number.NaN }],
    ['top_p', { topP: 0 }],
    ['top_p', { topP: 1.1 }],
    ['seed', { seed: 0.5 }],
  ])('rejects a wrong %s', (param, options) => {
    expect(() => draw([0], options, 1)).toThrowError(expect.objectContaining({ code: 'input.invalid-request', param }));
  });
});
