import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseModelConfig } from '../../../src/engine/model/model-config.ts';
import { type PlannedTensor, planTensors } from '../../../src/engine/model/tensor-plan.ts';
import {
  encodeBf16,
  encodeSafetensors,
  littleEndian,
  type Tensor,
} from '../../support/make-nano/encode-safetensors.ts';
import { FastRandom } from './fast-random.ts';
import { blockColumns, buildShapeConfig, type ModelShape } from './shapes.ts';
import { buildWordTokenizer, buildWordVocabulary, specialIdOf } from './word-vocabulary.ts';

/** Spread of uniform codes 1 … 15 around 8, with 8 twice as likely: √(2 · (1² + … + 7²) / 16). */
const codeDeviation = Math.sqrt(17.5);

/**
 * Writes a checkpoint folder with random weights: routed experts pack-quantized INT4, other matrices BF16. A shard a
 * layer, so that never more than a layer is in memory. Equal shapes give equal bytes.
 */
export async function writeShapeCheckpoint(folder: string, shape: ModelShape): Promise<void> {
  await mkdir(folder, { recursive: true });
  const vocabulary = buildWordVocabulary(shape.vocabulary);
  const config = buildShapeConfig(shape, specialIdOf(vocabulary, '<|im_end|>'));
  await writeJson(join(folder, 'config.json'), config);
  await writeJson(join(folder, 'tokenizer.json'), buildWordTokenizer(vocabulary));
  const label = { version: 1, weights: 'random', notice: 'random weights: for measuring speed only' };
  await writeJson(join(folder, 'quire.json'), label);

  const shards = groupByLayer(planTensors(parseModelConfig(config)));
  const weightMap: Record<string, string> = {};
  for (const [index, planned] of shards.entries()) {
    const file = `model-${String(index + 1).padStart(5, '0')}-of-${String(shards.length).padStart(5, '0')}.safetensors`;
    const tensors = planned.flatMap((tensor) => drawTensor(tensor, seedOf(shape.seed, tensor.name)));
    for (const { name } of tensors) weightMap[name] = file;
    await writeFile(join(folder, file), encodeSafetensors(tensors));
  }
  await writeJson(join(folder, 'model.safetensors.index.json'), { metadata: {}, weight_map: weightMap });
}

async function writeJson(file: string, value: unknown): Promise<void> {
  await writeFile(file, JSON.stringify(value));
}

/** Tensors of a layer together, the others around them. */
function groupByLayer(planned: Iterable<PlannedTensor>): readonly PlannedTensor[][] {
  const groups = new Map<string, PlannedTensor[]>();
  for (const tensor of planned) {
    const key = /layers\.\d+/.exec(tensor.name)?.[0] ?? tensor.name;
    groups.set(key, [...(groups.get(key) ?? []), tensor]);
  }
  return [...groups.values()];
}

/** Each tensor has its own numbers, whatever is written before it. */
function seedOf(seed: number, name: string): number {
  return createHash('sha256').update(`${seed} ${name}`).digest().readInt32LE();
}

function drawTensor(tensor: PlannedTensor, seed: number): readonly Tensor[] {
  const random = new FastRandom(seed);
  if (tensor.type === 'vector') return [drawVector(tensor.name, tensor.length, random)];
  const { name, rows, columns } = tensor;
  // a product keeps about the spread of its input
  const deviation = name.includes('embed_tokens') ? 0.5 : 1.2 / Math.sqrt(columns);
  if (tensor.role === 'expert') return drawPacked(name, rows, columns, deviation, random);
  const values = new Float32Array(rows * columns);
  random.fillUniform(values, Math.sqrt(3) * deviation);
  return [{ name: `${name}.weight`, dtype: 'BF16', shape: [rows, columns], bytes: encodeBf16(values) }];
}

function drawVector(name: string, length: number, random: FastRandom): Tensor {
  const values = new Float32Array(length);
  random.fillUniform(values, 0.02);
  if (name.endsWith('e_score_correction_bias')) {
    return { name, dtype: 'F32', shape: [length], bytes: littleEndian(values) };
  }
  return { name, dtype: 'BF16', shape: [length], bytes: encodeBf16(values.map((value) => 1 + value)) };
}

/** Codes and scales are drawn as they are stored: packing drawn weights would take minutes. */
function drawPacked(name: string, rows: number, columns: number, deviation: number, random: FastRandom): Tensor[] {
  const words = new Uint32Array((rows * columns) / 8);
  random.fillCodes(words);
  const scales = new Float32Array((rows * columns) / blockColumns);
  random.fillUniform(scales, 0.25);
  const mean = deviation / codeDeviation;
  const bytes = encodeBf16(scales.map((part) => mean * (1 + part)));
  return [
    { name: `${name}.weight_packed`, dtype: 'I32', shape: [rows, columns / 8], bytes: littleEndian(words) },
    { name: `${name}.weight_scale`, dtype: 'BF16', shape: [rows, columns / blockColumns], bytes },
    { name: `${name}.weight_shape`, dtype: 'I32', shape: [2], bytes: littleEndian(Int32Array.of(rows, columns)) },
  ];
}
