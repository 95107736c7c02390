import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { extendRows } from '../../src/engine/extend-rows.ts';
import { LatentBuffer } from '../../src/engine/kv/latent-buffer.ts';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { joinFloats } from '../../src/engine/runtime/run-in-parts.ts';
import { largestDifference, type RunPlan, runSequence, type SequenceResult } from '../support/model-run.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

/** Equality of bits, not of values within a tolerance. Latent rows of 160 and of 40 values are summed differently. */

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-exact-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const wide = { num_attention_heads: 4, num_key_value_heads: 4, kv_lora_rank: 128, qk_rope_head_dim: 32 };
const idsOf = (total: number): number[] =>
  Array.from({ length: total }, (_, index) => (index * index * 7 + index * 3) % 61);
const tokenIds = idsOf(780);
/** The last block lies far enough behind the beginning for only its own scores to be masked. */
const promptRows = 1_280;
const promptIds = idsOf(promptRows + 1);

const plans: readonly RunPlan[] = [
  { prefixRows: 0, chunks: [780] },
  { prefixRows: 0, chunks: [512] },
  { prefixRows: 0, chunks: [37, 1, 100, 256, 3] },
  { prefixRows: 256, chunks: [256] },
  { prefixRows: 256, chunks: [128] },
  { prefixRows: 512, chunks: [100] },
  { prefixRows: 512, chunks: [5] },
  { prefixRows: 768, chunks: [1] },
];

const bytesOf = ({ logits, latents }: SequenceResult): Buffer =>
  Buffer.concat([logits, ...latents].map((values) => Buffer.from(values.buffer, values.byteOffset, values.byteLength)));

async function bytesOfPlan(runner: ModelRunner, plan: RunPlan): Promise<Buffer> {
  return bytesOf(await runSequence(runner, tokenIds, plan));
}

/** Latents of a prompt, and logits of one row behind them. */
async function promptOf(runner: ModelRunner, chunks: readonly number[], isPrompt: boolean): Promise<Float32Array> {
  const buffer = new LatentBuffer(runner.layers, runner.latentWidth, promptRows + 256);
  for (let start = 0, index = 0; start < promptRows; index++) {
    const ids = promptIds.slice(start, Math.min(promptRows, start + (chunks[index % chunks.length] ?? 0)));
    await extendRows(runner, buffer, ids, start, { wanted: 0, head: false, isPrompt });
    start += ids.length;
  }
  const last = promptIds.slice(promptRows);
  const { logits } = await extendRows(runner, buffer, last, promptRows, { wanted: 1, head: true });
  const values = promptRows * runner.latentWidth;
  return joinFloats([...buffer.view(promptRows).map((layer) => layer.subarray(0, values)), logits]);
}

const bytesEqual = (left: Float32Array, right: Float32Array): boolean =>
  Buffer.from(left.buffer, left.byteOffset, left.byteLength).equals(
    Buffer.from(right.buffer, right.byteOffset, right.byteLength),
  );

const models = [
  ['wide latents', { config: wide }],
  ['wide latents, INT4 experts in groups', { config: { ...wide, n_group: 2, topk_group: 1 }, int4GroupColumns: 32 }],
  [
    'wide latents, experts whose gates are applied in parts',
    { config: { ...wide, n_routed_experts: 70 }, int4GroupColumns: 32 },
  ],
  ['narrow latents, tied embeddings', { config: { tie_word_embeddings: true } }],
] as const;

describe.each(
  models.flatMap(([name, options]) => (['full', 'int4'] as const).map((precision) => ({ name, options, precision }))),
)('the graph with $name in $precision precision', ({ name, options, precision }) => {
  it.each([1, 2, 3])(
    'gives the same bytes for every chunking and every border of the prefix, with %i threads',
    async (threads) => {
      const folder = join(root, name.replaceAll(/\W/g, '-'));
      writeTinyCheckpoint(folder, options, 7);
      const single = await openOrtRunner(folder, { precision, threads: 1 });
      const whole = await bytesOfPlan(single, { prefixRows: 0, chunks: [256] });
      await single.close();
      const runner = await openOrtRunner(folder, { precision, threads });
      for (const plan of plans) {
        const isEqual = whole.equals(await bytesOfPlan(runner, plan));
        expect(isEqual, JSON.stringify(plan)).toBe(true);
      }
      await runner.close();
    },
    60_000,
  );

  it.each([1, 2, 3])(
    'gives a prompt the same bytes for every chunking, and nearly those of other rows, with %i threads',
    async (threads) => {
      const folder = join(root, name.replaceAll(/\W/g, '-'));
      writeTinyCheckpoint(folder, options, 7);
      const single = await openOrtRunner(folder, { precision, threads: 1 });
      const own = await promptOf(single, [256], false);
      const whole = await promptOf(single, [256], true);
      await single.close();
      if (precision === 'full') expect(largestDifference(whole, own)).toBeLessThan(1e-4);
      const runner = await openOrtRunner(folder, { precision, threads });
      for (const chunks of [[256], [64], [promptRows], [512], [128, 320, 64]]) {
        expect(bytesEqual(await promptOf(runner, chunks, true), whole), JSON.stringify(chunks)).toBe(true);
      }
      const fewScores = await openOrtRunner(folder, { precision, threads, maxScores: 2 ** 19 });
      expect(bytesEqual(await promptOf(fewScores, [promptRows], true), whole), 'in parts').toBe(true);
      await runner.close();
      await fewScores.close();
    },
    60_000,
  );
});
