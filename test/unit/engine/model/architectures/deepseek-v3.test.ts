import { describe, expect, it } from 'vitest';
import { AppError } from '../../../../../src/base/errors.ts';
import { buildLayers, buildTop } from '../../../../../src/engine/model/architectures/deepseek-v3.ts';
import { LayerWeights } from '../../../../../src/engine/model/layer-weights.ts';
import { parseModelConfig } from '../../../../../src/engine/model/model-config.ts';
import type { WeightSource } from '../../../../../src/engine/model/weights.ts';
import { tinyDefaults } from '../../../../support/tiny-checkpoint.ts';

const refuse = (): never => {
  throw new AppError('bug.invariant', 'a weight was read');
};

const unreadable: WeightSource = {
  files: refuse,
  has: () => true,
  checkVector: refuse,
  checkMatrix: refuse,
  vector: refuse,
  matrix: refuse,
  blocks: refuse,
  contentDigest: refuse,
  close: () => undefined,
};

describe('the graphs of DeepSeek-V3', () => {
  it('passes on what reading a weight throws', () => {
    const config = parseModelConfig(tinyDefaults);
    const weights = new LayerWeights(config, unreadable, 'full');
    const options = { form: 'exact', provider: 'cpu', rounds: true, sink: null } as const;
    expect(() => buildLayers(config, weights, { first: 0, end: 2 }, options)).toThrow('a weight was read');
    expect(() => buildTop(config, weights, options)).toThrow('a weight was read');
  });
});
