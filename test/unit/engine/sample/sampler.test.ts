import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SamplingOptions } from '../../../../src/engine/messages.ts';
import { type CountingSampler, openSampler, type SamplerContext } from '../../../../src/engine/sample/sampler.ts';
import { neutralSampling } from '../../../support/neutral-sampling.ts';

const excluded = Number.NEGATIVE_INFINITY;

const open = (options: Partial<SamplingOptions> = {}, context: Partial<SamplerContext> = {}): CountingSampler =>
  openSampler({ ...neutralSampling, ...options }, { vocabularySize: 200, promptIds: [], draws: 0, ...context });

const draw = (logits: readonly number[], options: Partial<SamplingOptions>, total: number): readonly number[] => {
  const sampler = open(options);
  return Array.from({ length: total }, () => sampler.sample(Float32Array.from(logits)));
};

const share = (ids: readonly number[], id: number): number => ids.filter((other) => other === id).length / ids.length;

describe('openSampler, greedy', () => {
  it('takes the highest logit, the lowest id of equals, and draws nothing', () => {
    const sampler = open({ temperature: 0, topP: 0.5 });
    expect(sampler.sample(Float32Array.from([excluded, 1, 3, 3, 2]))).toBe(2);
    expect(sampler.sample(Float32Array.from([-5, -5]))).toBe(0);
    expect(sampler.draws).toBe(0);
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

  it('keeps the topK likeliest, the lower ids of equals', () => {
    expect(new Set(draw([1, 3, 2, 3, excluded], { topK: 2 }, 300))).toEqual(new Set([1, 3]));
    expect(new Set(draw([1, 1, 1, 1], { topK: 3 }, 300))).toEqual(new Set([0, 1, 2]));
    expect(new Set(draw([0, excluded, 0], { topK: 100 }, 300))).toEqual(new Set([0, 2]));
  });

  it('drops what is less likely than minP times the likeliest', () => {
    const logits = [Math.log(0.5), Math.log(0.3), Math.log(0.15), Math.log(0.05)];
    expect(new Set(draw(logits, { minP: 0.29 }, 500))).toEqual(new Set([0, 1, 2]));
    expect(new Set(draw(logits, { minP: 0.31 }, 500))).toEqual(new Set([0, 1]));
    // at a higher temperature the distances shrink
    expect(new Set(draw(logits, { minP: 0.31, temperature: 2 }, 500))).toEqual(new Set([0, 1, 2, 3]));
  });

  it('takes topP of what topK and minP have left', () => {
    const logits = [Math.log(0.4), Math.log(0.3), Math.log(0.2), Math.log(0.1)];
    // 0.4 of 0.7 is 0.57
    expect(new Set(draw(logits, { topK: 2, topP: 0.5 }, 500))).toEqual(new Set([0]));
    expect(new Set(draw(logits, { topK: 2, topP: 0.6 }, 500))).toEqual(new Set([0, 1]));
    // 0.4 of 0.9 is 0.44
    expect(new Set(draw(logits, { minP: 0.4, topP: 0.44 }, 500))).toEqual(new Set([0]));
    expect(new Set(draw(logits, { minP: 0.4, topP: 0.46 }, 500))).toEqual(new Set([0, 1]));
  });

  it('finds the same set as a full sort', () => {
    const options = { seed: 3, numRuns: 300 };
    const anyLogit = fc.oneof(fc.float({ min: -60, max: 60, noNaN: true }), fc.constantFrom(-1, 0, 0.5, excluded));
    const anyLogits = fc
      .array(anyLogit, { minLength: 1, maxLength: 60 })
      .filter((logits) => Math.max(...logits) > excluded);
    const anyOptions = fc.record({
      topP: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 0.999, noNaN: true })),
      topK: fc.integer({ min: 0, max: 70 }),
      minP: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.9, noNaN: true })),
      temperature: fc.double({ min: 0.05, max: 5, noNaN: true }),
    });
    fc.assert(
      fc.property(anyLogits, anyOptions, (logits, { topP, topK, minP, temperature }) => {
        const exact = Float32Array.from(logits);
        const top = Math.max(...exact);
        const weightOf = (id: number): number => Math.exp(((exact[id] ?? 0) - top) / temperature);
        const sorted = [...exact.keys()]
          .filter((id) => exact[id] !== excluded)
          .sort((a, b) => (exact[b] ?? 0) - (exact[a] ?? 0) || a - b);
        const likely = sorted.slice(0, topK === 0 ? sorted.length : topK).filter((id) => weightOf(id) >= minP);
        const total = likely.reduce((sum, id) => sum + weightOf(id), 0);
        let [size, mass] = [0, 0];
        // a hair more than topP: sums in another order may round differently at the border
        while (size < likely.length && mass < total * topP * (1 + 1e-9)) mass += weightOf(likely[size++] ?? 0);
        const allowed = likely.slice(0, size);
        for (const id of draw([...exact], { topP, topK, minP, temperature }, 20)) expect(allowed).toContain(id);
      }),
      options,
    );
  });

  it('never takes an excluded token', () => {
    expect(new Set(draw([excluded, 0, excluded, 0], {}, 300))).toEqual(new Set([1, 3]));
    expect(draw([excluded, -80, excluded], { temperature: 0.01 }, 3)).toEqual([1, 1, 1]);
  });

  it('repeats itself for a seed and goes on from its saved draws', () => {
    const logits = Float32Array.from({ length: 100 }, (_, id) => Math.sin(id));
    const options = { seed: 9, topP: 0.9 };
    const sampler = open(options);
    const before = Array.from({ length: 10 }, () => sampler.sample(logits));
    expect(sampler.draws).toBe(10);
    const resumed = open(options, { draws: sampler.draws });
    const after = Array.from({ length: 10 }, () => resumed.sample(logits));
    expect([...before, ...after]).toEqual(draw([...logits], options, 20));
  });

  it('leaves the logits as they are without bias and penalties', () => {
    const logits = Float32Array.from([1, 2, 3]);
    open({ temperature: 0.7, topP: 0.8, topK: 2, minP: 0.1 }).sample(logits);
    expect([...logits]).toEqual([1, 2, 3]);
  });
});

describe('openSampler, bias and penalties', () => {
  /** The logits after one greedy step. */
  const adjust = (
    logits: readonly number[],
    options: Partial<SamplingOptions>,
    answer: readonly number[] = [],
    promptIds: readonly number[] = [],
  ): readonly number[] => {
    const sampler = open({ temperature: 0, ...options }, { promptIds });
    for (const id of answer) sampler.count(id);
    const adjusted = Float32Array.from(logits);
    sampler.sample(adjusted);
    return [...adjusted];
  };

  it('adds a bias to the tokens it names, before greedy chooses', () => {
    expect(
      draw(
        [0, 1, 2],
        {
          temperature: 0,
          logitBias: [
            [0, 3],
            [2, -3],
          ],
        },
        1,
      ),
    ).toEqual([0]);
    expect(
      adjust([0, 1, excluded], {
        logitBias: [
          [0, 0.5],
          [2, 100],
        ],
      }),
    ).toEqual([0.5, 1, excluded]);
  });

  it('subtracts the presence penalty once and the frequency penalty as often as the answer has the token', () => {
    expect(adjust([4, 4, 4], { presencePenalty: 0.5 }, [1, 1, 2])).toEqual([4, 3.5, 3.5]);
    expect(adjust([4, 4, 4], { frequencyPenalty: 0.5 }, [1, 1, 2])).toEqual([4, 3, 3.5]);
    expect(adjust([4, 4, 4], { frequencyPenalty: -0.5, presencePenalty: 2 }, [1, 1, 1])).toEqual([4, 3.5, 4]);
  });

  it('leaves the prompt to the repetition penalty, which divides what is positive and multiplies what is not', () => {
    expect(adjust([4, -4, 4], { presencePenalty: 2 }, [], [0, 1])).toEqual([4, -4, 4]);
    expect(adjust([4, -4, 4, 2], { repetitionPenalty: 2 }, [3], [0, 1, 1])).toEqual([2, -8, 4, 1]);
    expect(adjust([4, excluded], { repetitionPenalty: 0.5 }, [1])).toEqual([4, excluded]);
  });

  it('applies bias first, repetition next, and the others to the result', () => {
    const options: Partial<SamplingOptions> = {
      logitBias: [[0, 2]],
      repetitionPenalty: 2,
      frequencyPenalty: 1,
      presencePenalty: 0.5,
    };
    // (4 + 2) / 2 - 2 · 1 - 0.5
    expect(adjust([4], options, [0, 0])).toEqual([0.5]);
  });

  it('depends on the tokens so far and on nothing else that happened', () => {
    const logits = Array.from({ length: 50 }, (_, id) => Math.cos(id));
    const options = { frequencyPenalty: 1.5, repetitionPenalty: 1.3, seed: 4 };
    const whole = open(options, { promptIds: [1, 2] });
    const step = (sampler: CountingSampler): number => {
      const id = sampler.sample(Float32Array.from(logits));
      sampler.count(id);
      return id;
    };
    const before = Array.from({ length: 15 }, () => step(whole));
    const resumed = open(options, { promptIds: [1, 2], draws: whole.draws });
    for (const id of before) resumed.count(id);
    expect(Array.from({ length: 15 }, () => step(resumed))).toEqual(Array.from({ length: 15 }, () => step(whole)));
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

  it.each<[string, Partial<SamplingOptions>]>([
    ['temperature', { temperature: -1 }],
    ['temperature', { temperature: Number.NaN }],
    ['temperature', { temperature: Number.POSITIVE_INFINITY }],
    ['top_p', { topP: 0 }],
    ['top_p', { topP: 1.1 }],
    ['top_k', { topK: -1 }],
    ['top_k', { topK: 1.5 }],
    ['min_p', { minP: 1 }],
    ['min_p', { minP: -0.1 }],
    ['presence_penalty', { presencePenalty: 2.1 }],
    ['frequency_penalty', { frequencyPenalty: -2.1 }],
    ['repetition_penalty', { repetitionPenalty: 0 }],
    ['repetition_penalty', { repetitionPenalty: Number.NaN }],
    ['logit_bias', { logitBias: [[200, 1]] }],
    ['logit_bias', { logitBias: [[-1, 1]] }],
    ['logit_bias', { logitBias: [[0, 101]] }],
    ['seed', { seed: 0.5 }],
  ])('rejects a wrong %s', (param, options) => {
    const refusal = { code: 'input.invalid-request', param, message: expect.stringMatching(/allowed: /) };
    expect(() => draw([0], options, 1)).toThrowError(expect.objectContaining(refusal));
  });
});
