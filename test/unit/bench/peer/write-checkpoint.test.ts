import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../../../src/engine/model/load-model.ts';
import { openTokenizer } from '../../../../src/engine/tokenizer/tokenizer.ts';
import { CheckpointTensors } from '../../../bench/peer/checkpoint-tensors.ts';
import { PromptWriter } from '../../../bench/peer/prompts.ts';
import { type ModelShape, modelShapes } from '../../../bench/peer/shapes.ts';
import { buildWordVocabulary } from '../../../bench/peer/word-vocabulary.ts';
import { writeShapeCheckpoint } from '../../../bench/peer/write-checkpoint.ts';
import { writeGguf } from '../../../bench/peer/write-gguf.ts';

const shape: ModelShape = {
  ...modelShapes.tiny,
  hidden: 64,
  layers: 2,
  dense: 64,
  heads: 2,
  experts: 4,
  expertsPerToken: 2,
  expert: 32,
  queryLora: 32,
  latent: 32,
  vocabulary: 512,
};
let root = '';

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'quire-shapes-'));
  await writeShapeCheckpoint(join(root, 'one'), shape);
  await writeShapeCheckpoint(join(root, 'two'), shape);
  await writeShapeCheckpoint(join(root, 'other'), { ...shape, seed: 77 });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const weightsOf = (folder: string): readonly string[] =>
  readdirSync(join(root, folder)).filter((name) => name.endsWith('.safetensors'));
const bytesOf = (folder: string, name: string): Buffer => readFileSync(join(root, folder, name));

describe('writeShapeCheckpoint', () => {
  it('writes the same bytes for the same shape, others for another seed', () => {
    // table, layers, final norm, head
    expect(weightsOf('one').length).toBe(2 + 3);
    for (const name of weightsOf('one')) expect(bytesOf('one', name).equals(bytesOf('two', name))).toBe(true);
    const [table = ''] = weightsOf('one');
    expect(bytesOf('one', table).equals(bytesOf('other', table))).toBe(false);
  });

  it('is a model folder of the family with packed experts', async () => {
    const { config, weights, card } = await loadModelFolder(join(root, 'one'));
    weights.close();
    expect(config).toMatchObject({ layers: 2, experts: 4, quantization: { groupColumns: 32 }, normEpsilon: 1e-6 });
    expect(card.weights).toBe('random');
  });

  it('draws every tensor anew, spread so that a product keeps the size of its input', async () => {
    const tensors = await CheckpointTensors.open(join(root, 'one'));
    const { weights } = await loadModelFolder(join(root, 'one'));
    const name = (expert: number) => `model.layers.1.mlp.experts.${expert}.gate_proj`;
    const first = weights.matrix(name(0), 32, 64);
    const deviation = Math.sqrt(first.reduce((sum, value) => sum + value * value, 0) / first.length);
    expect(deviation / (1.2 / Math.sqrt(64))).toBeCloseTo(1, 1);
    expect(first).not.toEqual(weights.matrix(name(1), 32, 64));
    const codes = [...(await tensors.bytes(`${name(0)}.weight_packed`))].flatMap((byte) => [byte & 15, byte >> 4]);
    expect(Math.min(...codes)).toBe(1);
    expect(Math.max(...codes)).toBe(15);
    weights.close();
    await tensors.close();
  });
});

describe('writeGguf', () => {
  it('writes as many bytes as its header speaks of', async () => {
    const file = join(root, 'model.gguf');
    await writeGguf(join(root, 'one'), file);
    expect(readFileSync(file).toString('latin1', 0, 4)).toBe('GGUF');
    expect(statSync(file).size % 32).toBe(0);
  });
});

describe('PromptWriter', () => {
  it('writes prompts of exact lengths', async () => {
    const tokenizer = await openTokenizer(join(root, 'one'), shape.vocabulary);
    const writer = new PromptWriter(tokenizer, buildWordVocabulary(shape.vocabulary).words);
    const alone = writer.write(0, 64, 1, 0);
    expect([alone.ids.length, alone.sharedTokens]).toEqual([64, 0]);
    const [a, b] = [writer.write(1024, 32, 1, 0), writer.write(1024, 32, 1, 1)];
    expect([a.ids.length, a.sharedTokens]).toEqual([1056, 1024]);
    expect(a.ids.slice(0, 1024)).toEqual(b.ids.slice(0, 1024));
    expect(a.ids.slice(1024)).not.toEqual(b.ids.slice(1024));
    expect(writer.write(1024, 32, 2, 0).ids.slice(3, 40)).not.toEqual(a.ids.slice(3, 40));
    expect(Math.max(...a.ids)).toBeLessThan(shape.vocabulary);
  });
});
