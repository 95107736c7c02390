import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../../../src/engine/model/model-config.ts';
import { planStages } from '../../../../src/engine/runtime/stage-plan.ts';
import { tinyDefaults } from '../../../support/tiny-checkpoint.ts';

const config = (change: object) => parseModelConfig({ ...tinyDefaults, ...change });

describe('planStages', () => {
  it('is one stage while the experts of a graph are few', () => {
    expect(planStages(config({ num_hidden_layers: 61, n_routed_experts: 16 }))).toEqual([{ first: 0, end: 60 }]);
    expect(planStages(config({ n_routed_experts: null }))).toEqual([{ first: 0, end: 2 }]);
  });

  it('cuts between layers where experts are many, and covers every layer once', () => {
    const stages = planStages(config({ num_hidden_layers: 61, n_routed_experts: 384 }));
    expect(stages).toHaveLength(23);
    expect(stages.map(({ first }) => first)).toEqual([0, ...stages.slice(0, -1).map(({ end }) => end)]);
    expect(stages.at(-1)?.end).toBe(60);
    expect(Math.max(...stages.map(({ first, end }) => end - first))).toBe(3);
  });

  it('follows a wanted number', () => {
    expect(planStages(config({ num_hidden_layers: 6 }), 2)).toEqual([
      { first: 0, end: 2 },
      { first: 2, end: 5 },
    ]);
  });

  it('has one stage without a layer of its own for a model of one layer', () => {
    expect(planStages(config({ num_hidden_layers: 1 }))).toEqual([{ first: 0, end: 0 }]);
  });
});
