import { isExpertLayer, latentWidth, type ModelConfig } from '../../../src/engine/model/model-config.ts';
import { layerName } from '../../../src/engine/model/tensor-plan.ts';
import type { CheckpointTensors } from './checkpoint-tensors.ts';
import { encodeQ8, repackQ4 } from './gguf-blocks.ts';
import type { GgufTensor } from './gguf-header.ts';

export interface SourcedTensor extends GgufTensor {
  /** Its values in pieces, in the order of the file. */
  readonly pieces: (source: CheckpointTensors) => AsyncGenerator<Uint8Array>;
}

/**
 * Tensors of a `deepseek2` file out of a checkpoint's: routed experts Q4_0 with the checkpoint's own codes, the other
 * matrices Q8_0, norms and router F32: the bits that quire uses in `int4`.
 */
export function* planGgufTensors(config: ModelConfig): Generator<SourcedTensor> {
  const { tensorPrefix, vocabularySize, hiddenWidth } = config;
  yield q8('token_embd.weight', `${tensorPrefix}model.embed_tokens`, [vocabularySize, hiddenWidth]);
  for (let layer = 0; layer < config.layers; layer++) {
    const [to, from] = [`blk.${layer}`, layerName(config, layer)];
    yield f32(`${to}.attn_norm.weight`, `${from}.input_layernorm.weight`, [hiddenWidth]);
    yield* planAttention(config, to, `${from}.self_attn`);
    yield f32(`${to}.ffn_norm.weight`, `${from}.post_attention_layernorm.weight`, [hiddenWidth]);
    if (isExpertLayer(config, layer)) yield* planExperts(config, to, `${from}.mlp`);
    else yield* planMlp(to, '', `${from}.mlp`, hiddenWidth, config.denseWidth);
  }
  yield f32('output_norm.weight', `${tensorPrefix}model.norm.weight`, [hiddenWidth]);
  yield q8('output.weight', `${tensorPrefix}lm_head`, [vocabularySize, hiddenWidth]);
}

function* planAttention(config: ModelConfig, to: string, from: string): Generator<SourcedTensor> {
  const { heads, hiddenWidth, latentRank, nopeWidth, valueWidth, queryLoraWidth } = config;
  const queryWidth = heads * (nopeWidth + config.ropeWidth);
  if (queryLoraWidth === null) {
    yield q8(`${to}.attn_q.weight`, `${from}.q_proj`, [queryWidth, hiddenWidth]);
  } else {
    yield q8(`${to}.attn_q_a.weight`, `${from}.q_a_proj`, [queryLoraWidth, hiddenWidth]);
    yield f32(`${to}.attn_q_a_norm.weight`, `${from}.q_a_layernorm.weight`, [queryLoraWidth]);
    yield q8(`${to}.attn_q_b.weight`, `${from}.q_b_proj`, [queryWidth, queryLoraWidth]);
  }
  yield q8(`${to}.attn_kv_a_mqa.weight`, `${from}.kv_a_proj_with_mqa`, [latentWidth(config), hiddenWidth]);
  yield f32(`${to}.attn_kv_a_norm.weight`, `${from}.kv_a_layernorm.weight`, [latentRank]);
  const up = `${from}.kv_b_proj.weight`;
  yield {
    name: `${to}.attn_k_b.weight`,
    type: 'Q8_0',
    shape: [heads, latentRank, nopeWidth],
    pieces: async function* (source) {
      yield encodeQ8(transposedKeyParts(config, await source.floats(up)));
    },
  };
  yield {
    name: `${to}.attn_v_b.weight`,
    type: 'Q8_0',
    shape: [heads, valueWidth, latentRank],
    pieces: async function* (source) {
      yield encodeQ8(valueParts(config, await source.floats(up)));
    },
  };
  yield q8(`${to}.attn_output.weight`, `${from}.o_proj`, [hiddenWidth, heads * valueWidth]);
}

/** [heads, nope | value, latent] → [heads, latent, nope]: it is multiplied with the query. */
export function transposedKeyParts(config: ModelConfig, up: Float32Array): Float32Array {
  const { heads, latentRank, nopeWidth, valueWidth } = config;
  const keys = new Float32Array(heads * latentRank * nopeWidth);
  for (let head = 0; head < heads; head++) {
    for (let row = 0; row < nopeWidth; row++) {
      const source = (head * (nopeWidth + valueWidth) + row) * latentRank;
      for (let column = 0; column < latentRank; column++) {
        keys[(head * latentRank + column) * nopeWidth + row] = up[source + column] ?? 0;
      }
    }
  }
  return keys;
}

/** [heads, nope | value, latent] → [heads, value, latent]. */
export function valueParts(config: ModelConfig, up: Float32Array): Float32Array {
  const { heads, latentRank, nopeWidth, valueWidth } = config;
  const values = new Float32Array(heads * valueWidth * latentRank);
  for (let head = 0; head < heads; head++) {
    const start = (head * (nopeWidth + valueWidth) + nopeWidth) * latentRank;
    values.set(up.subarray(start, start + valueWidth * latentRank), head * valueWidth * latentRank);
  }
  return values;
}

function* planExperts(config: ModelConfig, to: string, from: string): Generator<SourcedTensor> {
  const { experts, expertWidth, hiddenWidth, sharedExperts } = config;
  yield f32(`${to}.ffn_gate_inp.weight`, `${from}.gate.weight`, [experts, hiddenWidth]);
  yield f32(`${to}.exp_probs_b.bias`, `${from}.gate.e_score_correction_bias`, [experts]);
  for (const part of ['gate', 'up', 'down'] as const) {
    const inner = part === 'down' ? [hiddenWidth, expertWidth] : [expertWidth, hiddenWidth];
    const names = Array.from({ length: experts }, (_, expert) => `${from}.experts.${expert}.${part}_proj`);
    yield {
      name: `${to}.ffn_${part}_exps.weight`,
      type: 'Q4_0',
      shape: [experts, ...inner],
      pieces: async function* (source) {
        for (const name of names) {
          yield repackQ4(await source.bytes(`${name}.weight_packed`), await source.floats(`${name}.weight_scale`));
        }
      },
    };
  }
  yield* planMlp(to, '_shexp', `${from}.shared_experts`, hiddenWidth, expertWidth * sharedExperts);
}

function* planMlp(to: string, ending: string, from: string, hidden: number, width: number): Generator<SourcedTensor> {
  yield q8(`${to}.ffn_gate${ending}.weight`, `${from}.gate_proj`, [width, hidden]);
  yield q8(`${to}.ffn_up${ending}.weight`, `${from}.up_proj`, [width, hidden]);
  yield q8(`${to}.ffn_down${ending}.weight`, `${from}.down_proj`, [hidden, width]);
}

function q8(name: string, from: string, shape: readonly number[]): SourcedTensor {
  return {
    name,
    type: 'Q8_0',
    shape,
    pieces: async function* (source) {
      yield encodeQ8(await source.floats(`${from}.weight`));
    },
  };
}

function f32(name: string, from: string, shape: readonly number[]): SourcedTensor {
  return {
    name,
    type: 'F32',
    shape,
    pieces: async function* (source) {
      const values = await source.floats(from);
      yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  };
}
