import { describe, expect, it } from 'vitest';
import { parseModelConfig } from '../../../../src/engine/model/model-config.ts';
import { countParameters, planTensors } from '../../../../src/engine/model/tensor-plan.ts';
import { tinyDefaults } from '../../../support/tiny-checkpoint.ts';

const kimiK2 = {
  ...tinyDefaults,
  model_type: 'kimi_k2',
  vocab_size: 163840,
  hidden_size: 7168,
  intermediate_size: 18432,
  moe_intermediate_size: 2048,
  num_hidden_layers: 61,
  num_attention_heads: 64,
  num_key_value_heads: 64,
  n_routed_experts: 384,
  num_experts_per_tok: 8,
  q_lora_rank: 1536,
  kv_lora_rank: 512,
  qk_nope_head_dim: 128,
  qk_rope_head_dim: 64,
  v_head_dim: 128,
};

const moonlight = {
  ...kimiK2,
  hidden_size: 2048,
  intermediate_size: 11264,
  moe_intermediate_size: 1408,
  num_hidden_layers: 27,
  num_attention_heads: 16,
  num_key_value_heads: 16,
  n_routed_experts: 64,
  num_experts_per_tok: 6,
  n_shared_experts: 2,
  q_lora_rank: null,
};

const billions = (parameters: number): number => parameters / 1e9;

describe('countParameters', () => {
  it('counts Kimi K2 as published', () => {
    const { parameters, activeParameters } = countParameters(parseModelConfig(kimiK2));
    expect(billions(parameters)).toBeCloseTo(1026.4, 1);
    expect(billions(activeParameters)).toBeCloseTo(32.86, 2);
  });

  it('counts Moonlight as published', () => {
    const { parameters, activeParameters } = countParameters(parseModelConfig(moonlight));
    const embeddings = billions(2 * 163840 * 2048);
    expect(billions(parameters)).toBeCloseTo(15.96, 2);
    expect(billions(activeParameters) - embeddings).toBeCloseTo(2.2437, 4);
  });
});

describe('planTensors', () => {
  it('names tensors as the checkpoints do', () => {
    const names = [...planTensors(parseModelConfig(tinyDefaults))].map((tensor) => tensor.name);
    expect(names).toContain('model.layers.0.mlp.gate_proj');
    expect(names).toContain('model.layers.0.self_attn.q_a_layernorm.weight');
    expect(names).toContain('model.layers.2.mlp.experts.7.down_proj');
    expect(names).toContain('model.layers.1.mlp.gate.e_score_correction_bias');
    expect(names).not.toContain('model.layers.0.mlp.gate');
    expect(new Set(names).size).toBe(names.length);
  });

  it('plans a direct query projection, no shared experts and tied embeddings', () => {
    const change = { q_lora_rank: null, n_shared_experts: 0, tie_word_embeddings: true };
    const names = [...planTensors(parseModelConfig({ ...tinyDefaults, ...change }))].map((tensor) => tensor.name);
    expect(names).toContain('model.layers.0.self_attn.q_proj');
    expect(names.filter((name) => /q_a_|shared|lm_head/.test(name))).toEqual([]);
  });
});
