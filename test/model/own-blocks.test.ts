import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BlockBudget } from '../../src/engine/kv/block-budget.ts';
import { LatentBuffer } from '../../src/engine/kv/latent-buffer.ts';
import { OwnRows } from '../../src/engine/kv/own-rows.ts';
import { pageBytes } from '../../src/engine/kv/page-shape.ts';
import { RoundedBlocks } from '../../src/engine/kv/rounded-blocks.ts';
import { blockRows, type ModelRunner, type StepInput } from '../../src/engine/ports.ts';
import { hasExactInt8 } from '../../src/engine/runtime/cpu-features.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { areSame, relativeError } from '../support/model-run.ts';
import { readAsAnswer } from '../support/read-answer.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

/** Skipped where the CPU sums INT8 products in 16 bits: nothing is rounded there. */

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-own-blocks-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const wide = { num_attention_heads: 4, num_key_value_heads: 4, kv_lora_rank: 128, qk_rope_head_dim: 32 };
const idsOf = (total: number, seed: number): number[] =>
  Array.from({ length: total }, (_, index) => (index * index * 7 + index * 3 + seed) % 61);

describe.skipIf(!hasExactInt8()).each([
  ['wide latents', { config: wide }],
  ['narrow latents, INT4 experts', { config: {}, int4GroupColumns: 32 }],
] as const)('own blocks in INT8 with %s', (name, options) => {
  const folder = (): string => {
    const path = join(root, name.replaceAll(/\W/g, '-'));
    writeTinyCheckpoint(path, options, 7);
    return path;
  };

  it.each([1, 2, 3])('give an answer the same bits for every border and chunking, with %i threads', async (threads) => {
    const ids = idsOf(900, 3);
    const single = await openOrtRunner(folder(), { precision: 'int4', threads: 1 });
    const wanted = await readAsAnswer(single, ids, { border: 512, chunks: [256] });
    await single.close();
    const runner = await openOrtRunner(folder(), { precision: 'int4', threads });
    for (const border of [0, 256, 768]) {
      for (const chunks of [[256], [37, 1, 100, 3], [64]]) {
        const met = await readAsAnswer(runner, ids, { border, chunks });
        expect(areSame(met, wanted), `${border} ${JSON.stringify(chunks)}`).toBe(true);
      }
    }
    await runner.close();
  });

  /** Sequences with own rows of such lengths, and rows that nobody should read. */
  async function openSequences(runner: ModelRunner, lengths: readonly number[]) {
    const { layers, latentWidth, rounding } = runner;
    const own = new OwnRows<object>(runner, new BlockBudget(100, pageBytes(runner)));
    const members = lengths.map(() => ({}));
    for (const [index, rows] of lengths.entries()) {
      const member = members[index] ?? {};
      own.reserve(member, rows + 300);
      const latents = Float32Array.from({ length: layers * rows * latentWidth }, (_, at) =>
        Math.sin(at * 0.37 + index),
      );
      own.store(member, 0, rows, { latents, index: 0, total: 1, padded: rows });
    }
    expect(rounding).not.toBe(null);
    const whole = lengths.map((rows) => Math.floor(rows / blockRows));
    const stepOf = async (chosen: readonly number[], tokens: number): Promise<StepInput> => {
      const some = chosen.map((index) => members[index] ?? {});
      return {
        sequences: chosen.map((index) => ({ tokenIds: idsOf(tokens, index), start: lengths[index] ?? 0, wanted: 1 })),
        prefix: Array.from({ length: layers }, () => new Float32Array()),
        prefixRows: 0,
        ownBlocks: await own.rounded(
          '',
          some,
          chosen.map((index) => whole[index] ?? 0),
        ),
        suffix: own.layers,
        suffixRows: 1_024,
        suffixBlocks: some.map((member) => own.blocksOf(member)),
        head: true,
      };
    };
    /** Rows that are read in INT8 are no numbers in float32. */
    const spoil = (): void => {
      for (const [index, member] of members.entries()) {
        for (const block of own.blocksOf(member).slice(0, whole[index])) {
          const floats = blockRows * latentWidth;
          for (const layer of own.layers) layer.fill(Number.NaN, block * floats, (block + 1) * floats);
        }
      }
    };
    return { stepOf, spoil };
  }

  it('give sequences of any lengths the bits they have alone, and in parts', async () => {
    const lengths = [10, 700, 256, 300, 511];
    const runner = await openOrtRunner(folder(), { precision: 'int4', threads: 2 });
    const few = await openOrtRunner(folder(), { precision: 'int4', threads: 2, maxScores: 2 * 2 * 1_024 * 4 });
    const { stepOf, spoil } = await openSequences(runner, lengths);
    const size = runner.vocabularySize;
    const step = await stepOf([0, 1, 2, 3, 4], 1);
    const together = await runner.run(step);
    spoil();
    expect(areSame((await few.run(step)).logits, together.logits)).toBe(true);
    for (const index of lengths.keys()) {
      const alone = await runner.run(await stepOf([index], 1));
      expect(together.logits.slice(index * size, (index + 1) * size)).toEqual(alone.logits);
      const pair = await runner.run(await stepOf([index, 1], 1));
      expect(pair.logits.slice(0, size)).toEqual(alone.logits);
      expect(alone.logits.every(Number.isFinite)).toBe(true);
    }
    await few.close();
    await runner.close();
  });

  it('are read by the last row of a prompt, where its logits are wanted, and by no other of its rows', async () => {
    const runner = await openOrtRunner(folder(), { precision: 'int4', threads: 2 });
    const { layers, latentWidth } = runner;
    const rounding = runner.rounding ?? expect.fail('the runner rounds nothing');
    const rows = new LatentBuffer(layers, latentWidth, 512);
    rows.store(
      0,
      256,
      Float32Array.from({ length: layers * 256 * latentWidth }, (_, at) => Math.sin(at * 0.37)),
    );
    const blocks = new RoundedBlocks(runner, rounding);
    await blocks.keep(rows, 1, () => rows.view(256));
    const step = { sequences: [{ tokenIds: idsOf(256, 1), start: 256, wanted: 1 }], isPrompt: true, head: true };
    const own = { prefix: rows.view(0), prefixRows: 0, suffix: rows.view(512), suffixRows: 512 };
    const asOwn = await runner.run({ ...step, ...own, ownBlocks: blocks.of([rows]) });
    const asWindow = await runner.run({
      ...step,
      prefix: rows.view(256),
      prefixRows: 256,
      rounded: await rounding.round(rows.view(256), 256),
      suffix: rows.view(256, 256),
      suffixRows: 256,
    });
    expect(asOwn.logits).toEqual(asWindow.logits);
    expect(asOwn.latents).toEqual(asWindow.latents);
    const inFloat = await runner.run({ ...step, ...own });
    expect(inFloat.latents).toEqual(asOwn.latents);
    expect(inFloat.logits).not.toEqual(asOwn.logits);
    await runner.close();
  });

  it.each([true, false])('give nearly what float32 gives, with reproducible %s', async (reproducible) => {
    // without experts, of which a small difference chooses others
    const path = join(root, `${name.replaceAll(/\W/g, '-')}-dense`);
    writeTinyCheckpoint(path, { config: { ...options.config, first_k_dense_replace: 3 } }, 7);
    const runner = await openOrtRunner(path, { precision: 'int4', threads: 2, reproducible });
    const { stepOf } = await openSequences(runner, [700, 300, 90]);
    const step = await stepOf([0, 1, 2], 3);
    const met = (await runner.run(step)).logits;
    const wanted = (await runner.run({ ...step, ownBlocks: null })).logits;
    expect(areSame(met, wanted)).toBe(false);
    expect(relativeError(met, wanted)).toBeLessThan(0.04);
    await runner.close();
  });
});
