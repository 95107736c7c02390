import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { type RunPlan, runSequence, type SequenceResult } from '../support/model-run.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

/** Equality of bits, not of values within a tolerance. Latent rows of 160 and of 40 values are summed differently. */

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-exact-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const wide = { num_attention_heads: 4, num_key_value_heads: 4, kv_lora_rank: 128, qk_rope_head_dim: 32 };
const tokenIds = Array.from({ length: 780 }, (_, index) => (index * index * 7 + index * 3) % 61);

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

const models = [
  ['wide latents', { config: wide }],
  ['wide latents, INT4 experts in groups', { config: { ...wide, n_group: 2, topk_group: 1 }, int4GroupColumns: 32 }],
  ['wide latents, experts whose gates are applied in parts', { config: { ...wide, n_routed_experts: 70 }, int4GroupColumns: 32 }],
  ['narrow latents, tied embeddings', { config: { tie_word_embeddings: true } }],
] as const;

describe.each(
  models.flatMap(([name, options]) => (['full', 'int4'] as const).map((precision) => ({ name, options, precision }))),
)('the graph with $name in $precision precision', ({ name, options, precision }) => {
  it.each([1, 2])(
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
});
