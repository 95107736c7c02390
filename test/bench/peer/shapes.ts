import { quantizationConfig, tinyDefaults } from '../../support/tiny-checkpoint.ts';

/** What a random checkpoint of the benchmark looks like. Every width is a multiple of the 32 columns of a block. */
export interface ModelShape {
  readonly hidden: number;
  readonly layers: number;
  /** Of the first layer, which has no experts. */
  readonly dense: number;
  readonly heads: number;
  readonly queryLora: number;
  readonly latent: number;
  readonly rope: number;
  readonly nope: number;
  readonly value: number;
  readonly experts: number;
  readonly expertsPerToken: number;
  /** Of a routed expert; one shared expert is as wide. */
  readonly expert: number;
  readonly vocabulary: number;
  readonly seed: number;
}

export const modelNames = ['A', 'B', 'tiny'] as const;
export type ModelName = (typeof modelNames)[number];

/** A and B are measured; `tiny` shows in seconds that everything works, its figures say nothing. */
export const modelShapes: Readonly<Record<ModelName, ModelShape>> = {
  A: {
    hidden: 1024,
    layers: 8,
    dense: 2048,
    heads: 16,
    queryLora: 384,
    latent: 256,
    rope: 32,
    nope: 64,
    value: 64,
    experts: 64,
    expertsPerToken: 8,
    expert: 512,
    vocabulary: 32_768,
    seed: 1,
  },
  B: {
    hidden: 2048,
    layers: 8,
    dense: 4096,
    heads: 16,
    queryLora: 768,
    latent: 512,
    rope: 64,
    nope: 128,
    value: 128,
    experts: 64,
    expertsPerToken: 8,
    expert: 512,
    vocabulary: 32_768,
    seed: 2,
  },
  tiny: {
    hidden: 256,
    layers: 4,
    dense: 512,
    heads: 8,
    queryLora: 128,
    latent: 128,
    rope: 32,
    nope: 32,
    value: 32,
    experts: 16,
    expertsPerToken: 4,
    expert: 128,
    vocabulary: 4096,
    seed: 3,
  },
};

/** Columns that share a scale, in the checkpoint and in every block of the peer's file. */
export const blockColumns = 32;

/** config.json in the form of the family's checkpoints; the prompts of the benchmark stay below the window. */
export function buildShapeConfig(shape: ModelShape, stopId: number): Readonly<Record<string, unknown>> {
  return {
    ...tinyDefaults,
    model_type: 'kimi_k2',
    vocab_size: shape.vocabulary,
    hidden_size: shape.hidden,
    intermediate_size: shape.dense,
    moe_intermediate_size: shape.expert,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.heads,
    n_routed_experts: shape.experts,
    num_experts_per_tok: shape.expertsPerToken,
    routed_scaling_factor: 2.827,
    q_lora_rank: shape.queryLora,
    kv_lora_rank: shape.latent,
    qk_nope_head_dim: shape.nope,
    qk_rope_head_dim: shape.rope,
    v_head_dim: shape.value,
    // one value for all norms: the peer knows only one
    rms_norm_eps: 1e-6,
    rope_theta: 50_000,
    max_position_embeddings: 16_384,
    eos_token_id: stopId,
    torch_dtype: 'bfloat16',
    quantization_config: quantizationConfig(blockColumns),
  };
}
