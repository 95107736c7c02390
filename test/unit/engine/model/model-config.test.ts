import { describe, expect, it } from 'vitest';
import { isAppError } from '../../../../src/base/errors.ts';
import { isExpertLayer, latentWidth, parseModelConfig } from '../../../../src/engine/model/model-config.ts';
import { tinyDefaults } from '../../../support/tiny-checkpoint.ts';

const int4Weights = { num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: 32, dynamic: false };
const int4 = {
  quant_method: 'compressed-tensors',
  format: 'pack-quantized',
  config_groups: { group_0: { targets: ['Linear'], weights: int4Weights, input_activations: null } },
};

const yarn = { type: 'yarn', factor: 64, original_max_position_embeddings: 4096, mscale: 1, mscale_all_dim: 1 };

function failure(change: Readonly<Record<string, unknown>>): string {
  try {
    parseModelConfig({ ...tinyDefaults, ...change });
  } catch (error) {
    if (isAppError(error) && error.code === 'input.model-folder') return error.message;
    throw error;
  }
  return 'accepted';
}

describe('parseModelConfig', () => {
  it('reads dimensions, router and norms', () => {
    const config = parseModelConfig({ ...tinyDefaults, eos_token_id: [2, 5], n_group: 4, topk_group: 2 });
    expect(config).toMatchObject({
      architecture: 'DeepseekV3ForCausalLM',
      tensorPrefix: '',
      hiddenWidth: 64,
      queryLoraWidth: 32,
      experts: 8,
      router: { groups: 4, groupsPerToken: 2, normalizeWeights: true, scalingFactor: 2.5 },
      normEpsilon: 1e-5,
      latentNormEpsilon: 1e-5,
      rope: { theta: 10000, yarn: null },
      stopIds: [2, 5],
      quantization: null,
    });
    expect(latentWidth(config)).toBe(40);
    expect(Object.isFrozen(config)).toBe(true);
  });

  it('chooses expert layers by first_k_dense_replace and moe_layer_freq', () => {
    const config = parseModelConfig({ ...tinyDefaults, first_k_dense_replace: 1, moe_layer_freq: 2 });
    expect([0, 1, 2, 3, 4].map((layer) => isExpertLayer(config, layer))).toEqual([false, false, true, false, true]);
    const dense = parseModelConfig({ ...tinyDefaults, n_routed_experts: null });
    expect(isExpertLayer(dense, 2)).toBe(false);
  });

  it('reads a multimodal config through its text part', () => {
    const text = { ...tinyDefaults, model_type: 'kimi_k2', architectures: undefined };
    const outer = { architectures: ['KimiK25ForConditionalGeneration'], model_type: 'kimi_k25', text_config: text };
    expect(parseModelConfig(outer)).toMatchObject({
      architecture: 'KimiK25ForConditionalGeneration',
      tensorPrefix: 'language_model.',
    });
  });

  it('reads YaRN from rope_scaling by type or rope_type and from rope_parameters', () => {
    const wanted = {
      theta: 10000,
      yarn: { factor: 64, betaFast: 32, betaSlow: 1, attentionFactor: 1, mscaleAllDim: 1 },
    };
    expect(parseModelConfig({ ...tinyDefaults, rope_scaling: yarn }).rope).toMatchObject(wanted);
    const { type, ...rest } = yarn;
    expect(parseModelConfig({ ...tinyDefaults, rope_scaling: { ...rest, rope_type: type } }).rope).toMatchObject(
      wanted,
    );
    const parameters = { ...rest, rope_type: type, rope_theta: 50000 };
    const newer = { ...tinyDefaults, rope_theta: undefined, rope_scaling: undefined, rope_parameters: parameters };
    expect(parseModelConfig(newer).rope).toMatchObject({ ...wanted, theta: 50000 });
    const plain = { ...newer, rope_parameters: { rope_type: 'default', rope_theta: 50000 } };
    expect(parseModelConfig(plain).rope).toEqual({ theta: 50000, yarn: null });
  });

  it('lets q_kv_norm_eps override the eps of the latent norms', () => {
    expect(parseModelConfig({ ...tinyDefaults, q_kv_norm_eps: 1e-6 })).toMatchObject({
      normEpsilon: 1e-5,
      latentNormEpsilon: 1e-6,
    });
  });

  it('reads the group size of INT4 experts', () => {
    expect(parseModelConfig({ ...tinyDefaults, quantization_config: int4 }).quantization).toEqual({ groupColumns: 32 });
    const weights = { ...int4Weights, strategy: 'channel', group_size: null };
    const channel = { ...int4, config_groups: { group_0: { weights } } };
    expect(parseModelConfig({ ...tinyDefaults, quantization_config: channel }).quantization).toEqual({
      groupColumns: null,
    });
  });

  const quantized = (change: Readonly<Record<string, unknown>>) => ({
    quantization_config: { ...int4, config_groups: { group_0: { weights: { ...int4Weights, ...change } } } },
  });

  it.each([
    [{ architectures: ['LlamaForCausalLM'] }, 'architectures is ["LlamaForCausalLM"], allowed: DeepseekV3ForCausalLM'],
    [{ model_type: 'llama' }, 'model_type is "llama", allowed: deepseek_v3, kimi_k2'],
    [{ model_type: undefined }, 'model_type is missing, allowed: deepseek_v3, kimi_k2'],
    [{ scoring_func: 'softmax' }, 'scoring_func is "softmax", allowed: sigmoid'],
    [{ topk_method: 'greedy' }, 'topk_method is "greedy", allowed: noaux_tc'],
    [{ hidden_act: 'gelu' }, 'hidden_act is "gelu", allowed: silu'],
    [{ attention_bias: true }, 'attention_bias is true, allowed: false'],
    [{ rope_interleave: false }, 'rope_interleave is false, allowed: true'],
    [{ num_key_value_heads: 1 }, 'num_key_value_heads is 1, allowed: 2'],
    [{ hidden_size: undefined }, 'hidden_size is missing, allowed: a whole number of at least 1'],
    [{ hidden_size: 63.5 }, 'hidden_size is 63.5, allowed: a whole number of at least 1'],
    [{ num_hidden_layers: '3' }, 'num_hidden_layers is "3", allowed: a whole number of at least 1'],
    [{ qk_rope_head_dim: 7 }, 'qk_rope_head_dim is 7, allowed: an even number'],
    [{ rms_norm_eps: undefined }, 'rms_norm_eps is missing, allowed: a number above 0'],
    [{ rope_theta: undefined }, 'rope_theta is missing, allowed: a number above 0'],
    [{ rope_scaling: { type: 'linear', factor: 2 } }, 'rope_scaling.type is "linear", allowed: yarn, default'],
    [{ rope_scaling: { ...yarn, factor: undefined } }, 'rope_scaling.factor is missing, allowed: a number above 0'],
    [{ num_experts_per_tok: 9 }, 'num_experts_per_tok is 9, allowed: at most n_routed_experts, 8'],
    [{ n_group: 3 }, 'n_group is 3, allowed: a divisor of n_routed_experts, 8'],
    [{ n_group: 8 }, 'n_group is 8, allowed: at most 4'],
    [{ n_group: 2, topk_group: 3 }, 'topk_group is 3, allowed: at most n_group, 2'],
    [{ norm_topk_prob: 'yes' }, 'norm_topk_prob is "yes", allowed: true, false'],
    [{ eos_token_id: 64 }, 'eos_token_id is 64, allowed: token ids below 64'],
    [
      { quantization_config: { quant_method: 'fp8' } },
      'quantization_config.quant_method is "fp8", allowed: compressed-tensors',
    ],
    [quantized({ num_bits: 8 }), 'weights.num_bits is 8, allowed: 4'],
    [quantized({ symmetric: false }), 'weights.symmetric is false, allowed: true'],
    [quantized({ actorder: 'weight' }), 'weights.actorder is "weight", allowed: null'],
    [quantized({ strategy: 'tensor' }), 'weights.strategy is "tensor", allowed: group, channel'],
  ])('rejects %j', (change, message) => {
    expect(failure(change)).toContain(message);
  });

  it('rejects a file that is no object', () => {
    expect(() => parseModelConfig([])).toThrow('config.json: the file is [], allowed: a JSON object');
  });
});
