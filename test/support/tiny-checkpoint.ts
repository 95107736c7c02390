import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseModelConfig } from '../../src/engine/model/model-config.ts';
import { planTensors } from '../../src/engine/model/tensor-plan.ts';

/** Small checkpoints with random weights, written in the file formats of the family. */

export interface TinyOptions {
  /** Fields of config.json over the defaults; undefined removes one. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly dtype?: 'BF16' | 'F16' | 'F32';
  /** More than 1: shards with an index. */
  readonly shards?: number;
  /** Columns that share a scale: writes the routed experts as compressed-tensors INT4. */
  readonly int4GroupColumns?: number;
}

export interface PlainTensor {
  readonly shape: readonly number[];
  /** What the stored bytes mean, INT4 dequantized. */
  readonly values: Float32Array;
}

export interface TinyCheckpoint {
  readonly config: Readonly<Record<string, unknown>>;
  /** By Hugging Face name; an INT4 matrix under `<name>.weight`. */
  readonly tensors: ReadonlyMap<string, PlainTensor>;
}

export const tinyDefaults: Readonly<Record<string, unknown>> = {
  architectures: ['DeepseekV3ForCausalLM'],
  model_type: 'deepseek_v3',
  vocab_size: 64,
  hidden_size: 64,
  intermediate_size: 96,
  moe_intermediate_size: 32,
  num_hidden_layers: 3,
  num_attention_heads: 2,
  num_key_value_heads: 2,
  n_shared_experts: 1,
  n_routed_experts: 8,
  num_experts_per_tok: 2,
  first_k_dense_replace: 1,
  moe_layer_freq: 1,
  n_group: 1,
  topk_group: 1,
  norm_topk_prob: true,
  scoring_func: 'sigmoid',
  topk_method: 'noaux_tc',
  routed_scaling_factor: 2.5,
  q_lora_rank: 32,
  kv_lora_rank: 32,
  qk_nope_head_dim: 16,
  qk_rope_head_dim: 8,
  v_head_dim: 24,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: null,
  max_position_embeddings: 2048,
  hidden_act: 'silu',
  attention_bias: false,
  tie_word_embeddings: false,
  eos_token_id: 2,
};

/** Writes config.json and the weights into `folder`; equal arguments write equal bytes. */
export function writeTinyCheckpoint(folder: string, options: TinyOptions = {}, seed = 1): TinyCheckpoint {
  const { dtype = 'BF16', shards = 1, int4GroupColumns } = options;
  const config = JSON.parse(
    JSON.stringify({
      ...tinyDefaults,
      ...(int4GroupColumns === undefined ? {} : { quantization_config: quantizationConfig(int4GroupColumns) }),
      ...options.config,
    }),
  ) as Record<string, unknown>;
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config, null, 1));
  const random = randomNormal(seed);
  const plain = new Map<string, PlainTensor>();
  const stored = new Map<string, StoredTensor>();
  for (const tensor of planTensors(parseModelConfig(config))) {
    const isVector = tensor.type === 'vector';
    const name = isVector ? tensor.name : `${tensor.name}.weight`;
    const shape = isVector ? [tensor.length] : [tensor.rows, tensor.columns];
    const values = drawValues(name, shape, random);
    if (int4GroupColumns !== undefined && tensor.role === 'expert' && !isVector) {
      plain.set(name, { shape, values: storeInt4(stored, tensor.name, values, shape, int4GroupColumns, dtype) });
    } else {
      const type = name.endsWith('e_score_correction_bias') ? 'F32' : dtype;
      const bytes = encodeFloats(values, type);
      stored.set(name, { dtype: type, shape, bytes });
      plain.set(name, { shape, values: decodeFloats(bytes, type) });
    }
  }
  writeWeights(folder, stored, shards);
  return { config, tensors: plain };
}

function drawValues(name: string, shape: readonly number[], random: () => number): Float32Array {
  const length = shape.reduce((product, dim) => product * dim, 1);
  if (name.endsWith('norm.weight')) return Float32Array.from({ length }, () => 1 + 0.1 * random());
  if (name.endsWith('e_score_correction_bias')) return Float32Array.from({ length }, () => 0.1 * random());
  const deviation = name.includes('embed_tokens') ? 0.5 : 1.2 / Math.sqrt(shape.at(-1) ?? 1);
  return Float32Array.from({ length }, () => deviation * random());
}

/** mulberry32 and Box–Muller. */
export function randomNormal(seed: number): () => number {
  let state = seed >>> 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** What config.json says of experts in compressed-tensors `pack-quantized` form. */
export function quantizationConfig(groupColumns: number) {
  const weights = { num_bits: 4, type: 'int', symmetric: true, strategy: 'group', group_size: groupColumns };
  const group = { targets: ['Linear'], weights, input_activations: null, output_activations: null };
  return { quant_method: 'compressed-tensors', format: 'pack-quantized', config_groups: { group_0: group } };
}

export interface StoredTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Stores codes, scales and shape; returns the dequantized values. */
function storeInt4(
  stored: Map<string, StoredTensor>,
  name: string,
  values: Float32Array,
  shape: readonly number[],
  groupColumns: number,
  dtype: 'BF16' | 'F16' | 'F32',
): Float32Array {
  const [rows = 0, columns = 0] = shape;
  const groups = columns / groupColumns;
  const wordColumns = Math.ceil(columns / 8);
  const raw = Float32Array.from({ length: rows * groups }, (_, index) => {
    const group = values.subarray(index * groupColumns, (index + 1) * groupColumns);
    return group.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0) / 7;
  });
  const scaleBytes = encodeFloats(raw, dtype);
  const scales = decodeFloats(scaleBytes, dtype);
  const words = new Int32Array(rows * wordColumns);
  const dequantized = values.map((value, index) => {
    const row = Math.floor(index / columns);
    const column = index % columns;
    const scale = scales[row * groups + Math.floor(column / groupColumns)] ?? 0;
    const code = Math.max(-8, Math.min(7, Math.round(value / scale))) || 0;
    const word = row * wordColumns + (column >> 3);
    words[word] = (words[word] ?? 0) | ((code + 8) << (4 * (column & 7)));
    return code * scale;
  });
  stored.set(`${name}.weight_packed`, { dtype: 'I32', shape: [rows, wordColumns], bytes: bytesOf(words) });
  stored.set(`${name}.weight_scale`, { dtype, shape: [rows, groups], bytes: scaleBytes });
  stored.set(`${name}.weight_shape`, { dtype: 'I32', shape: [2], bytes: bytesOf(Int32Array.of(rows, columns)) });
  return dequantized;
}

const bytesOf = (values: ArrayBufferView): Uint8Array =>
  new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

export function encodeFloats(values: Float32Array, dtype: 'BF16' | 'F16' | 'F32'): Uint8Array {
  if (dtype === 'F32') return bytesOf(values.slice());
  const encode = dtype === 'BF16' ? encodeBfloat16 : encodeFloat16;
  const codes = new Uint16Array(values.length);
  // a loop: `Uint16Array.from` takes several times as long, and the benchmark's models have millions of scales
  for (let at = 0; at < values.length; at++) codes[at] = encode(values[at] ?? 0);
  return bytesOf(codes);
}

/** Written apart from the product's own decoder, so that the two check each other. */
export function decodeFloats(bytes: Uint8Array, dtype: 'BF16' | 'F16' | 'F32'): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (dtype === 'F32') return Float32Array.from({ length: bytes.length / 4 }, (_, at) => view.getFloat32(at * 4, true));
  return Float32Array.from({ length: bytes.length / 2 }, (_, at) => {
    const bits = view.getUint16(at * 2, true);
    const [exponentBits, fractionBits, bias] = dtype === 'BF16' ? [8, 7, 127] : [5, 10, 15];
    const exponent = (bits >> fractionBits) & (2 ** exponentBits - 1);
    const fraction = (bits & (2 ** fractionBits - 1)) / 2 ** fractionBits;
    const magnitude = exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
    return bits >> 15 ? -magnitude : magnitude;
  });
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0;
}

/** Round to nearest, ties to even. */
function encodeBfloat16(value: number): number {
  const bits = floatBits(value);
  return ((bits + 0x7fff + ((bits >> 16) & 1)) >>> 16) & 0xffff;
}

/** To nearest; values here are small enough not to overflow. */
function encodeFloat16(value: number): number {
  const magnitude = Math.abs(value);
  const sign = value < 0 ? 0x8000 : 0;
  const exponent = Math.max(-14, Math.floor(Math.log2(magnitude || 2 ** -24)));
  const units = Math.round(magnitude / 2 ** (exponent - 10));
  // A subnormal has no hidden bit; rounding up to the next power carries into the exponent by itself.
  return sign | (units < 1024 ? units : ((exponent + 15) << 10) + units - 1024);
}

function writeWeights(folder: string, stored: ReadonlyMap<string, StoredTensor>, shards: number): void {
  const entries = [...stored];
  if (shards === 1) {
    writeFileSync(join(folder, 'model.safetensors'), encodeSafetensors(new Map(entries)));
    return;
  }
  const weightMap: Record<string, string> = {};
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${String(shard + 1).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.safetensors`;
    const part = entries.filter((_, index) => index % shards === shard);
    for (const [name] of part) weightMap[name] = file;
    writeFileSync(join(folder, file), encodeSafetensors(new Map(part)));
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));
}

export function encodeSafetensors(tensors: ReadonlyMap<string, StoredTensor>): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let offset = 0;
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.byteLength] };
    offset += bytes.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const file = new Uint8Array(8 + json.byteLength + offset);
  new DataView(file.buffer).setBigUint64(0, BigInt(json.byteLength), true);
  file.set(json, 8);
  let position = 8 + json.byteLength;
  for (const { bytes } of tensors.values()) {
    file.set(bytes, position);
    position += bytes.byteLength;
  }
  return file;
}
