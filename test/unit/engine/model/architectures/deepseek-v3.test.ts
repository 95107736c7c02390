import { describe, expect, it } from 'vitest';
import { AppError } from '../../../../../src/base/errors.ts';
import { buildDeepseekV3 } from '../../../../../src/engine/model/architectures/deepseek-v3.ts';
import { parseModelConfig } from '../../../../../src/engine/model/model-config.ts';
import type { WeightSource } from '../../../../../src/engine/model/weights.ts';
import { tinyDefaults } from '../../../../support/tiny-checkpoint.ts';

const refuse = (): never => {
  throw new AppError('bug.invariant', 'a weight was read');
};

const unreadable: WeightSource = {
  has: () => true,
  checkVector: refuse,
  checkMatrix: refuse,
  vector: refuse,
  matrix: refuse,
  contentDigest: refuse,
  close: () => undefined,
};

describe('buildDeepseekV3', () => {
  it('rejects a model too large for one graph before reading weights', () => {
    const config = parseModelConfig({ ...tinyDefaults, vocab_size: 163840, hidden_size: 2048 });
    expect(() => buildDeepseekV3(config, unreadable, 'exact')).toThrow(
      /^the model takes 2704057152 bytes in float32, one graph holds at most 1900000000$/,
    );
  });

  it('passes on what reading a weight throws', () => {
    expect(() => buildDeepseekV3(parseModelConfig(tinyDefaults), unreadable, 'exact')).toThrow('a weight was read');
  });
});
