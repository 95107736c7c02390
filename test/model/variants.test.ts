import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { largestDifference, runSequence } from '../support/model-run.ts';
import { referenceForward } from '../support/reference-forward.ts';
import { type TinyOptions, writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-variants-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const yarn = {
  type: 'yarn',
  factor: 32,
  original_max_position_embeddings: 64,
  beta_fast: 32,
  beta_slow: 1,
  mscale: 0.8,
  mscale_all_dim: 1.2,
};

const variants: Readonly<Record<string, TinyOptions>> = {
  'bfloat16 weights': {},
  'float16 weights': { dtype: 'F16' },
  'float32 weights': { dtype: 'F32' },
  'a sharded index': { shards: 3 },
  'tied embeddings': { config: { tie_word_embeddings: true } },
  'expert groups': { config: { n_group: 4, topk_group: 2 } },
  'one expert group of two': { config: { n_group: 2, topk_group: 1 } },
  'weights that are not normalized': { config: { norm_topk_prob: false } },
  'a direct query projection': { config: { q_lora_rank: null } },
  'experts in every second layer': { config: { moe_layer_freq: 2, num_hidden_layers: 5 } },
  'experts from the first layer': { config: { first_k_dense_replace: 0 } },
  'dense layers only': { config: { n_routed_experts: null } },
  'no shared expert': { config: { n_shared_experts: 0 } },
  'three shared experts': { config: { n_shared_experts: 3 } },
  'experts whose gates are applied in parts': { config: { n_routed_experts: 70, num_experts_per_tok: 3 } },
  'a single expert': { config: { n_routed_experts: 1, num_experts_per_tok: 1 } },
  'all experts for every token': { config: { n_routed_experts: 4, num_experts_per_tok: 4 } },
  'a single head': { config: { num_attention_heads: 1, num_key_value_heads: 1 } },
  'a single layer': { config: { num_hidden_layers: 1 } },
  'INT4 experts': { int4GroupColumns: 32 },
  'INT4 experts in groups of 16, float16 scales': { int4GroupColumns: 16, dtype: 'F16' },
  'YaRN with a ramp and unequal magnitudes': { config: { rope_scaling: yarn } },
  'an eps of its own for the latent norms': { config: { q_kv_norm_eps: 0.01 } },
  'odd sizes': {
    config: {
      vocab_size: 61,
      hidden_size: 52,
      v_head_dim: 10,
      qk_nope_head_dim: 14,
      qk_rope_head_dim: 6,
      kv_lora_rank: 22,
    },
  },
};

const withoutChoice = ['dense layers only', 'a single expert', 'all experts for every token'];

describe('the graph in INT4 and INT8 against a float64 forward pass', () => {
  // 4 % here: INT8 rounds both sides of some nine products, widened by norms and softmax of small rows.
  // Where a router chooses, a choice that flips says nothing of the products.
  it.each(withoutChoice)('is near with %s', async (name) => {
    const folder = join(root, `int4-${name.replaceAll(/\W/g, '-')}`);
    const checkpoint = writeTinyCheckpoint(folder, { ...variants[name], int4GroupColumns: 32 }, 7);
    const tokenIds = Array.from({ length: 40 }, (_, index) => (index * index * 7 + index * 3) % 61);
    const reference = Float64Array.from(referenceForward(checkpoint, tokenIds).flatMap((row) => [...row]));
    const runner = await openOrtRunner(folder, { precision: 'int4', threads: 1 });
    const { logits } = await runSequence(runner, tokenIds, { prefixRows: 0, chunks: [7, 1, 16] });
    await runner.close();
    const squares = (values: ArrayLike<number>): number =>
      Array.from(values).reduce((sum, value) => sum + value ** 2, 0);
    const errors = reference.map((value, index) => value - (logits[index] ?? Number.NaN));
    expect(Math.sqrt(squares(errors) / squares(reference))).toBeLessThan(0.06);
  });
});

describe('the graph against a float64 forward pass', () => {
  it.each(Object.keys(variants))('agrees with %s', async (name) => {
    const folder = join(root, name.replaceAll(/\W/g, '-'));
    const checkpoint = writeTinyCheckpoint(folder, variants[name], 7);
    const tokenIds = Array.from({ length: 40 }, (_, index) => (index * index * 7 + index * 3) % 61);
    const reference = Float64Array.from(referenceForward(checkpoint, tokenIds).flatMap((row) => [...row]));
    const runner = await openOrtRunner(folder, { precision: 'full', threads: 1 });
    const { logits } = await runSequence(runner, tokenIds, { prefixRows: 0, chunks: [7, 1, 16] });
    await runner.close();
    // Logits reach 4 to 17 here; float32 keeps 1e-6 of that over a few layers.
    expect(largestDifference(reference, logits)).toBeLessThan(5e-5);
  });
});
