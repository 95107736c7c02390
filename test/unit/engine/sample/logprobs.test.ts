import { describe, expect, it } from 'vitest';
import { StepLogprobs } from '../../../../src/engine/sample/logprobs.ts';

const read = (logits: readonly number[], id: number, topTotal: number) => {
  const step = new StepLogprobs(topTotal);
  step.capture(Float32Array.from(logits));
  return step.read(id);
};

describe('StepLogprobs', () => {
  it('gives the logarithm of the softmax', () => {
    const { chosen } = read([Math.log(2), Math.log(5), Math.log(3)], 2, 0);
    expect(chosen.id).toBe(2);
    expect(chosen.logprob).toBeCloseTo(Math.log(0.3), 6);
  });

  it('lists the likeliest, best first, the lower id of equals before the other', () => {
    const { top } = read([1, 3, 2, 3, 0], 4, 3);
    expect(top.map(({ id }) => id)).toEqual([1, 3, 2]);
    expect(top[0]?.logprob).toBe(top[1]?.logprob);
    expect(read([1, 2], 0, 20).top.map(({ id }) => id)).toEqual([1, 0]);
    expect(read([1, 2], 0, 0).top).toEqual([]);
  });

  it('keeps what was captured, whatever becomes of the logits', () => {
    const step = new StepLogprobs(1);
    const logits = Float32Array.from([0, 0]);
    step.capture(logits);
    logits.fill(Number.NEGATIVE_INFINITY);
    expect(step.read(0)).toEqual({
      chosen: { id: 0, logprob: Math.log(0.5) },
      top: [{ id: 0, logprob: Math.log(0.5) }],
    });
  });

  it('neither overflows nor loses small differences for large logits', () => {
    const { chosen } = read([30_000, 30_000.5], 0, 0);
    expect(chosen.logprob).toBeCloseTo(-0.5 - Math.log(1 + Math.exp(-0.5)), 6);
  });

  it('stays a number that JSON has when a token cannot be', () => {
    expect(read([0, Number.NEGATIVE_INFINITY], 1, 2)).toEqual({
      chosen: { id: 1, logprob: -9999 },
      top: [
        { id: 0, logprob: 0 },
        { id: 1, logprob: -9999 },
      ],
    });
  });
});
