import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasExactInt8 } from '../../src/engine/runtime/cpu-features.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
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

function areSame(left: Float32Array, right: Float32Array): boolean {
  return Buffer.from(left.buffer).equals(Buffer.from(right.buffer));
}

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
});
