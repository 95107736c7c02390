import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LatentBuffer } from '../../src/engine/kv/latent-buffer.ts';
import { blockRows, type ModelRunner, type RoundedLayer, type StepInput } from '../../src/engine/ports.ts';
import { hasExactInt8 } from '../../src/engine/runtime/cpu-features.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { joinFloats } from '../../src/engine/runtime/run-in-parts.ts';
import { areSame, relativeError } from '../support/model-run.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

/** Skipped where the CPU sums INT8 products in 16 bits: nothing is rounded there. */

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-rounded-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const wide = { num_attention_heads: 4, num_key_value_heads: 4, kv_lora_rank: 128, qk_rope_head_dim: 32 };
const prefixRows = 768;
const ownRows = 512;
const idsOf = (total: number, seed: number): number[] =>
  Array.from({ length: total }, (_, index) => (index * index * 7 + index * 3 + seed) % 61);

interface Prefix {
  readonly floats: LatentBuffer;
  readonly rounded: readonly RoundedLayer[];
}

/** A prefix as a prompt is read, and in INT8. */
async function readPrefix(runner: ModelRunner): Promise<Prefix> {
  const { layers, latentWidth } = runner;
  const rounding = runner.rounding ?? expect.fail('the runner rounds nothing');
  const floats = new LatentBuffer(layers, latentWidth, prefixRows);
  for (let start = 0; start < prefixRows; start += blockRows) {
    const { latents } = await runner.run({
      sequences: [{ tokenIds: idsOf(blockRows, start), start, wanted: 0 }],
      prefix: floats.view(start),
      prefixRows: start,
      suffix: floats.view(blockRows, start),
      suffixRows: blockRows,
      isPrompt: true,
      head: false,
    });
    floats.store(start, blockRows, latents);
  }
  return { floats, rounded: await rounding.round(floats.view(prefixRows), prefixRows) };
}

/** Logits and latents of an answer of 300 tokens behind the prefix, in runs of so many tokens. */
async function answer(
  runner: ModelRunner,
  { floats, rounded }: { readonly floats: LatentBuffer; readonly rounded: Prefix['rounded'] | null },
  chunks: readonly number[],
  seed = 5,
): Promise<Float32Array> {
  const ids = idsOf(300, seed);
  const own = new LatentBuffer(runner.layers, runner.latentWidth, ownRows);
  const logits: Float32Array[] = [];
  for (let row = 0, index = 0; row < ids.length; index++) {
    const tokenIds = ids.slice(row, row + (chunks[index % chunks.length] ?? 1));
    const output = await runner.run({
      ...stepOf(floats, rounded),
      sequences: [{ tokenIds, start: prefixRows + row, wanted: tokenIds.length }],
      suffix: own.view(ownRows),
    });
    own.store(row, tokenIds.length, output.latents);
    logits.push(output.logits);
    row += tokenIds.length;
  }
  return joinFloats([...logits, ...own.view(ownRows)]);
}

function stepOf(floats: LatentBuffer, rounded: Prefix['rounded'] | null): Omit<StepInput, 'sequences' | 'suffix'> {
  return { prefix: floats.view(prefixRows), prefixRows, rounded, suffixRows: ownRows, head: true };
}

describe.skipIf(!hasExactInt8()).each([
  ['wide latents', { config: wide }],
  ['narrow latents, INT4 experts', { config: {}, int4GroupColumns: 32 }],
] as const)('a prefix in INT8 with %s', (name, options) => {
  const folder = (): string => {
    const path = join(root, name.replaceAll(/\W/g, '-'));
    writeTinyCheckpoint(path, options, 7);
    return path;
  };

  it.each([1, 2, 3])('gives an answer the same bits for every chunking, with %i threads', async (threads) => {
    const single = await openOrtRunner(folder(), { precision: 'int4', threads: 1 });
    const wanted = await answer(single, await readPrefix(single), [256]);
    await single.close();
    const runner = await openOrtRunner(folder(), { precision: 'int4', threads });
    const prefix = await readPrefix(runner);
    for (const chunks of [[300], [1], [37, 1, 100, 3], [64]]) {
      expect(areSame(await answer(runner, prefix, chunks), wanted), JSON.stringify(chunks)).toBe(true);
    }
    await runner.close();
    const fewScores = await openOrtRunner(folder(), { precision: 'int4', threads, maxScores: 4 * 1_280 * 40 });
    expect(areSame(await answer(fewScores, await readPrefix(fewScores), [300]), wanted), 'in parts').toBe(true);
    await fewScores.close();
  });

  it('gives each of several sequences the bits it has alone', async () => {
    const runner = await openOrtRunner(folder(), { precision: 'int4', threads: 2 });
    const { floats, rounded } = await readPrefix(runner);
    const total = 9;
    const width = runner.latentWidth;
    const suffix = Array.from({ length: runner.layers }, (_, layer) =>
      Float32Array.from({ length: total * ownRows * width }, (__, at) => Math.sin(at * 0.37 + layer)),
    );
    const sequences = Array.from({ length: total }, (_, index) => ({
      tokenIds: idsOf(3, index),
      start: prefixRows + 20 + index,
      wanted: 1,
    }));
    const together = await runner.run({ ...stepOf(floats, rounded), sequences, suffix });
    for (const [index, sequence] of sequences.entries()) {
      const own = suffix.map((rows) => rows.subarray(index * ownRows * width, (index + 1) * ownRows * width));
      const alone = await runner.run({ ...stepOf(floats, rounded), sequences: [sequence], suffix: own });
      const size = runner.vocabularySize;
      expect(together.logits.subarray(index * size, (index + 1) * size)).toEqual(alone.logits);
    }
    await runner.close();
  });

  it.each([true, false])('gives nearly what it gives in float32, with reproducible %s', async (reproducible) => {
    // without experts, of which a small difference chooses others
    const path = join(root, `${name.replaceAll(/\W/g, '-')}-dense`);
    writeTinyCheckpoint(path, { config: { ...options.config, first_k_dense_replace: 3 } }, 7);
    const runner = await openOrtRunner(path, { precision: 'int4', threads: 2, reproducible });
    const { floats, rounded } = await readPrefix(runner);
    const inFloat = await answer(runner, { floats, rounded: null }, [100]);
    const errorOf = async (read: Prefix['rounded']): Promise<number> =>
      relativeError(await answer(runner, { floats, rounded: read }, [100]), inFloat);
    const error = await errorOf(rounded);
    expect(error).toBeGreaterThan(0);
    expect(error).toBeLessThan(0.04);
    const other = (layer: RoundedLayer) => ({ ...layer, values: layer.values.map((value) => -value) });
    expect(await errorOf(rounded.map(other))).toBeGreaterThan(10 * error);
    const shifted = (layer: RoundedLayer) => ({
      ...layer,
      keys: layer.keys.map((_, at, keys) => keys.at(at - 1) ?? 0),
    });
    expect(await errorOf(rounded.map(shifted))).toBeGreaterThan(10 * error);
    await runner.close();
  });

  it('is read by rows of answers in place of float32, and never by rows of prompts', async () => {
    const runner = await openOrtRunner(folder(), { precision: 'int4', threads: 2 });
    const { floats, rounded } = await readPrefix(runner);
    const wanted = await answer(runner, { floats, rounded }, [100]);
    const spoiled = new LatentBuffer(runner.layers, runner.latentWidth, prefixRows);
    for (const layer of spoiled.view(prefixRows)) layer.fill(Number.NaN);
    expect(areSame(await answer(runner, { floats: spoiled, rounded }, [100]), wanted)).toBe(true);

    const own = new LatentBuffer(runner.layers, runner.latentWidth, ownRows);
    const prompt = {
      sequences: [{ tokenIds: idsOf(64, 1), start: prefixRows, wanted: 1 }],
      suffix: own.view(ownRows),
      isPrompt: true,
    };
    const met = await runner.run({ ...stepOf(floats, rounded), ...prompt });
    const inFloat = await runner.run({ ...stepOf(floats, null), ...prompt });
    expect(met.latents).toEqual(inFloat.latents);
    // the row that is drawn from has the form of answers in the last layer
    expect(met.logits).not.toEqual(inFloat.logits);
    expect(relativeError(met.logits, inFloat.logits)).toBeLessThan(0.02);
    await runner.close();
  });

  it('is not read by long runs that expand keys and values, in the fast form', async () => {
    const long = { ...options, config: { ...options.config, max_position_embeddings: 4_096 } };
    const path = join(root, `${name.replaceAll(/\W/g, '-')}-long`);
    writeTinyCheckpoint(path, long, 7);
    const runner = await openOrtRunner(path, { precision: 'int4', threads: 2, reproducible: false });
    const { floats, rounded } = await readPrefix(runner);
    const own = new LatentBuffer(runner.layers, runner.latentWidth, 768);
    const run = (read: Prefix['rounded'] | null, tokens: number) =>
      runner.run({
        ...stepOf(floats, read),
        sequences: [{ tokenIds: idsOf(tokens, 1), start: prefixRows, wanted: 0 }],
        suffix: own.view(768),
        suffixRows: 768,
      });
    expect((await run(rounded, 512)).latents).toEqual((await run(null, 512)).latents);
    expect((await run(rounded, 511)).latents).not.toEqual((await run(null, 511)).latents);
    await runner.close();
  });
});

describe('prefixes in INT8', () => {
  it('are for int4 only', async () => {
    const path = join(root, 'full');
    writeTinyCheckpoint(path, {}, 7);
    const full = await openOrtRunner(path, { precision: 'full', threads: 1 });
    expect(full.rounding).toBe(null);
    await full.close();
  });
});
