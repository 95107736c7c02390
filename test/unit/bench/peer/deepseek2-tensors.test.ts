import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../../../src/engine/model/model-config.ts';
import { planGgufTensors, transposedKeyParts, valueParts } from '../../../bench/peer/deepseek2-tensors.ts';
import { buildShapeConfig, modelNames, modelShapes } from '../../../bench/peer/shapes.ts';

const configOf = (name: (typeof modelNames)[number]) => parseModelConfig(buildShapeConfig(modelShapes[name], 1));

describe('planGgufTensors', () => {
  it('names every tensor once, with the shapes that the architecture has', () => {
    const tensors = [...planGgufTensors(configOf('B'))];
    const shapes = Object.fromEntries(tensors.map(({ name, type, shape }) => [name, [type, ...shape]]));
    expect(Object.keys(shapes).length).toBe(tensors.length);
    expect(shapes).toMatchObject({
      'token_embd.weight': ['Q8_0', 32_768, 2048],
      'output_norm.weight': ['F32', 2048],
      'output.weight': ['Q8_0', 32_768, 2048],
      'blk.0.attn_norm.weight': ['F32', 2048],
      'blk.0.attn_q_a.weight': ['Q8_0', 768, 2048],
      'blk.0.attn_q_a_norm.weight': ['F32', 768],
      'blk.0.attn_q_b.weight': ['Q8_0', 16 * 192, 768],
      'blk.0.attn_kv_a_mqa.weight': ['Q8_0', 576, 2048],
      'blk.0.attn_kv_a_norm.weight': ['F32', 512],
      'blk.0.attn_k_b.weight': ['Q8_0', 16, 512, 128],
      'blk.0.attn_v_b.weight': ['Q8_0', 16, 128, 512],
      'blk.0.attn_output.weight': ['Q8_0', 2048, 2048],
      'blk.0.ffn_norm.weight': ['F32', 2048],
      'blk.0.ffn_gate.weight': ['Q8_0', 4096, 2048],
      'blk.0.ffn_up.weight': ['Q8_0', 4096, 2048],
      'blk.0.ffn_down.weight': ['Q8_0', 2048, 4096],
      'blk.1.ffn_gate_inp.weight': ['F32', 64, 2048],
      'blk.1.exp_probs_b.bias': ['F32', 64],
      'blk.1.ffn_gate_exps.weight': ['Q4_0', 64, 512, 2048],
      'blk.1.ffn_up_exps.weight': ['Q4_0', 64, 512, 2048],
      'blk.1.ffn_down_exps.weight': ['Q4_0', 64, 2048, 512],
      'blk.1.ffn_gate_shexp.weight': ['Q8_0', 512, 2048],
      'blk.7.ffn_down_shexp.weight': ['Q8_0', 2048, 512],
    });
    expect(shapes).not.toHaveProperty(['blk.1.ffn_gate.weight']);
    expect(shapes).not.toHaveProperty(['blk.0.ffn_gate_exps.weight']);
  });

  it.each(modelNames)('leaves no block unfinished in model %s', (name) => {
    for (const tensor of planGgufTensors(configOf(name))) {
      if (tensor.type !== 'F32') expect((tensor.shape.at(-1) ?? 0) % 32).toBe(0);
    }
  });
});

describe('the two halves of the up-projection', () => {
  it('are taken apart head by head, the keys transposed', () => {
    const config = { ...configOf('tiny'), heads: 2, nopeWidth: 2, valueWidth: 3, latentRank: 4 };
    // value of [head, row, column]: head · 100 + row · 10 + column
    const up = Float32Array.from(
      { length: 2 * 5 * 4 },
      (_, at) => Math.floor(at / 20) * 100 + (Math.floor(at / 4) % 5) * 10 + (at % 4),
    );
    expect([...transposedKeyParts(config, up)]).toEqual([
      0, 10, 1, 11, 2, 12, 3, 13, 100, 110, 101, 111, 102, 112, 103, 113,
    ]);
    expect([...valueParts(config, up)].slice(0, 12)).toEqual([20, 21, 22, 23, 30, 31, 32, 33, 40, 41, 42, 43]);
    expect([...valueParts(config, up)].slice(12)).toEqual([120, 121, 122, 123, 130, 131, 132, 133, 140, 141, 142, 143]);
  });
});
