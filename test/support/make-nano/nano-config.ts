/** What the test model is: the shape of Kimi-K2-Thinking at about 1/140,000 of its size. */

export const vocabularySize = 4096;

/** Named special tokens of the family in their order; they take the top ids of the vocabulary. */
export const specialTokens = [
  '[BOS]',
  '[EOS]',
  '<|im_end|>',
  '<|im_user|>',
  '<|im_assistant|>',
  '<|start_header_id|>',
  '<|end_header_id|>',
  '[EOT]',
  '<|im_system|>',
  '<|tool_calls_section_begin|>',
  '<|tool_calls_section_end|>',
  '<|tool_call_begin|>',
  '<|tool_call_argument_begin|>',
  '<|tool_call_end|>',
  '<|im_middle|>',
  '<|media_begin|>',
  '<|media_content|>',
  '<|media_end|>',
  '<|media_pad|>',
  '<think>',
  '</think>',
  '[UNK]',
  '[PAD]',
] as const;

/** Tokens that text can become: 256 bytes and the merges. */
export const textTokens = vocabularySize - specialTokens.length;

export function specialTokenId(token: (typeof specialTokens)[number]): number {
  return textTokens + specialTokens.indexOf(token);
}

/** Changing it changes every weight. */
export const weightSeed = 20261123;

export const groupColumns = 32;

export const dimensions = {
  layers: 4,
  denseLayers: 1,
  hidden: 256,
  dense: 512,
  heads: 8,
  queryLora: 128,
  // latent + rope = 160: narrower latents lose bit equality over row counts
  latent: 128,
  rope: 32,
  nope: 32,
  value: 32,
  experts: 16,
  expertsPerToken: 4,
  sharedExperts: 1,
  expert: 128,
} as const;

/** config.json in the form of the family's checkpoints. */
export function buildConfig() {
  const d = dimensions;
  return {
    architectures: ['DeepseekV3ForCausalLM'],
    model_type: 'kimi_k2',
    vocab_size: vocabularySize,
    hidden_size: d.hidden,
    intermediate_size: d.dense,
    moe_intermediate_size: d.expert,
    num_hidden_layers: d.layers,
    num_attention_heads: d.heads,
    num_key_value_heads: d.heads,
    n_shared_experts: d.sharedExperts,
    n_routed_experts: d.experts,
    num_experts_per_tok: d.expertsPerToken,
    routed_scaling_factor: 2.827,
    first_k_dense_replace: d.denseLayers,
    moe_layer_freq: 1,
    n_group: 1,
    topk_group: 1,
    topk_method: 'noaux_tc',
    scoring_func: 'sigmoid',
    norm_topk_prob: true,
    q_lora_rank: d.queryLora,
    kv_lora_rank: d.latent,
    qk_rope_head_dim: d.rope,
    qk_nope_head_dim: d.nope,
    v_head_dim: d.value,
    hidden_act: 'silu',
    attention_bias: false,
    tie_word_embeddings: false,
    rms_norm_eps: 1e-5,
    rope_theta: 50000,
    rope_scaling: {
      type: 'yarn',
      factor: 8,
      original_max_position_embeddings: 4096,
      beta_fast: 1,
      beta_slow: 1,
      mscale: 1,
      mscale_all_dim: 1,
    },
    max_position_embeddings: 32768,
    bos_token_id: specialTokenId('[BOS]'),
    eos_token_id: specialTokenId('<|im_end|>'),
    pad_token_id: specialTokenId('[PAD]'),
    torch_dtype: 'bfloat16',
    quantization_config: quantizationConfig,
  };
}

/** Only the routed experts are INT4, as Kimi-K2-Thinking ships. */
const quantizationConfig = {
  quant_method: 'compressed-tensors',
  format: 'pack-quantized',
  quantization_status: 'compressed',
  config_groups: {
    group_0: {
      targets: ['Linear'],
      weights: {
        num_bits: 4,
        type: 'int',
        symmetric: true,
        strategy: 'group',
        group_size: groupColumns,
        dynamic: false,
        actorder: null,
        observer: 'minmax',
      },
      input_activations: null,
      output_activations: null,
    },
  },
  ignore: ['lm_head', 're:.*self_attn.*', 're:.*shared_experts.*', 're:.*mlp\\.(gate|up|gate_up|down)_proj.*'],
  kv_cache_scheme: null,
};

export const generationConfig = {
  temperature: 1.0,
  do_sample: true,
  bos_token_id: specialTokenId('[BOS]'),
  eos_token_id: specialTokenId('<|im_end|>'),
  pad_token_id: specialTokenId('[PAD]'),
};

export const label = {
  version: 1,
  id: 'quire-nano',
  weights: 'random',
  notice: 'quire-nano has random weights for now: its text is noise and shows only that the machinery works',
};
