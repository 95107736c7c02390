import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LatentBuffer } from '../../src/engine/kv/latent-buffer.ts';
import { blockRows, type ModelRunner, type StepOutput } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { largestDifference, runSequence } from '../support/model-run.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

/** Sequences that run together over one prefix, against each of them alone. Equality of bits. */

let root = '';
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-batch-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const wide = { num_attention_heads: 4, num_key_value_heads: 4, kv_lora_rank: 128, qk_rope_head_dim: 32 };
const idsOf = (seed: number, total: number): number[] =>
  Array.from({ length: total }, (_, index) => (index * index * 7 + index * seed + seed) % 61);

interface Sequence {
  /** Rows of its own that are there already. */
  readonly own: number;
  readonly tokens: number;
  /** Rows of which logits are wanted; left out: the last. */
  readonly wanted?: number;
}

const cases: Readonly<Record<string, { prefixRows: number; suffixRows: number; sequences: readonly Sequence[] }>> = {
  'eight of one token without a prefix': {
    prefixRows: 0,
    suffixRows: 256,
    sequences: Array.from({ length: 8 }, (_, index) => ({ own: 3 + index * 20, tokens: 1 })),
  },
  'five of one token behind a prefix': {
    prefixRows: 512,
    suffixRows: 512,
    sequences: [0, 1, 255, 256, 300].map((own) => ({ own, tokens: 1 })),
  },
  'three of different lengths behind a prefix': {
    prefixRows: 256,
    suffixRows: 256,
    sequences: [
      { own: 0, tokens: 40 },
      { own: 7, tokens: 1 },
      { own: 100, tokens: 17 },
    ],
  },
  'six of which some draft': {
    prefixRows: 256,
    suffixRows: 256,
    sequences: [
      { own: 3, tokens: 9, wanted: 9 },
      { own: 50, tokens: 1 },
      { own: 9, tokens: 2, wanted: 0 },
      { own: 247, tokens: 9, wanted: 8 },
      { own: 0, tokens: 4, wanted: 3 },
      { own: 129, tokens: 1, wanted: 0 },
    ],
  },
};

async function prefill(runner: ModelRunner, buffer: LatentBuffer, ids: readonly number[]): Promise<void> {
  for (let start = 0; start < ids.length; start += blockRows) {
    const part = ids.slice(start, start + blockRows);
    const output = await runner.run({
      sequences: [{ tokenIds: part, start, wanted: 0 }],
      prefix: buffer.view(start),
      prefixRows: start,
      suffix: buffer.view(part.length, start),
      suffixRows: blockRows,
      head: false,
    });
    buffer.store(start, part.length, output.latents);
  }
}

/** What sequence `index` of a run of `total` padded to `tokens` gained, without the padding: [layers, own, width]. */
function latentsOf(runner: ModelRunner, output: StepOutput, index: number, total: number, own: number): number[] {
  const width = runner.latentWidth;
  const tokens = output.latents.length / (runner.layers * total * width);
  const rows: number[] = [];
  for (let layer = 0; layer < runner.layers; layer++) {
    const from = (layer * total + index) * tokens * width;
    rows.push(...output.latents.subarray(from, from + own * width));
  }
  return rows;
}

async function runCase(runner: ModelRunner, name: string) {
  const { prefixRows, suffixRows, sequences } = cases[name] as (typeof cases)[string];
  const { layers, latentWidth: width, vocabularySize } = runner;
  const prefix = new LatentBuffer(layers, width, Math.max(prefixRows, 1));
  await prefill(runner, prefix, idsOf(3, prefixRows));
  const suffix = Array.from({ length: layers }, () => new Float32Array(sequences.length * suffixRows * width));
  // own rows that another model might have left there: any finite numbers will do, they are inputs
  suffix.forEach((rows, layer) => {
    for (let at = 0; at < rows.length; at++) rows[at] = Math.sin(at * 0.37 + layer);
  });
  const steps = sequences.map(({ own, tokens, wanted = 1 }, index) => ({
    tokenIds: idsOf(11 + index, tokens),
    start: prefixRows + own,
    wanted,
  }));
  const shared = { prefix: prefix.view(prefixRows), prefixRows, suffixRows, head: true };
  const together = await runner.run({ ...shared, sequences: steps, suffix });
  const differences: number[] = [];
  let wantedBefore = 0;
  for (const [index, step] of steps.entries()) {
    const from = index * suffixRows * width;
    const own = suffix.map((rows) => rows.subarray(from, from + suffixRows * width));
    const alone = await runner.run({ ...shared, sequences: [step], suffix: own });
    const tokens = step.tokenIds.length;
    const wantedOf = (values: Float32Array, size: number) =>
      values.subarray(wantedBefore * size, (wantedBefore + step.wanted) * size);
    differences.push(
      largestDifference(wantedOf(together.logits, vocabularySize), alone.logits),
      largestDifference(
        latentsOf(runner, together, index, steps.length, tokens),
        latentsOf(runner, alone, 0, 1, tokens),
      ),
      largestDifference(wantedOf(together.hidden, runner.hiddenWidth), alone.hidden),
    );
    wantedBefore += step.wanted;
  }
  return { together, worst: Math.max(...differences) };
}

describe.each([
  ['wide latents', { config: wide }],
  ['narrow latents', { config: {} }],
] as const)('a run of several sequences with %s', (name, options) => {
  it.each([1, 2])(
    'gives each the bits it has alone, with %i threads',
    async (threads) => {
      const folder = join(root, name.replaceAll(' ', '-'));
      writeTinyCheckpoint(folder, options, 5);
      const runner = await openOrtRunner(folder, { precision: 'full', threads });
      const bounded = await openOrtRunner(folder, { precision: 'full', threads, maxScores: 4 * 768 * 3 });
      for (const one of Object.keys(cases)) {
        const { together, worst } = await runCase(runner, one);
        expect(worst, one).toBe(0);
        // in parts, because the scores of all would not fit
        expect((await runCase(bounded, one)).together.logits, one).toEqual(together.logits);
      }
      await runner.close();
      await bounded.close();
    },
    60_000,
  );

  it('is close to that in the fast form', async () => {
    const folder = join(root, name.replaceAll(' ', '-'));
    writeTinyCheckpoint(folder, options, 5);
    const exact = await openOrtRunner(folder, { precision: 'full', threads: 2 });
    const fast = await openOrtRunner(folder, { precision: 'full', threads: 2, reproducible: false });
    expect(fast.rowStep).toBeLessThan(exact.rowStep);
    expect(fast.digest).not.toBe(exact.digest);
    for (const one of Object.keys(cases)) {
      const { together, worst } = await runCase(fast, one);
      const reference = (await runCase(exact, one)).together;
      // logits are of the size of 1; single precision leaves about 1e-6, no expert is chosen otherwise here
      expect(worst, one).toBeLessThan(1e-4);
      expect(largestDifference(together.logits, reference.logits), one).toBeLessThan(1e-4);
    }
    await exact.close();
    await fast.close();
  });

  it('is close to that with keys and values expanded for many rows', async () => {
    const folder = join(root, name.replaceAll(' ', '-'));
    const more = { num_attention_heads: 6, num_key_value_heads: 6, max_position_embeddings: 4_096 };
    writeTinyCheckpoint(folder, { config: { ...options.config, ...more } }, 5);
    // behind 2,048 rows, far enough behind the beginning, only own scores are masked
    const tokenIds = Array.from({ length: 2_700 }, (_, index) => (index * index * 7 + index * 3) % 61);
    const exact = await openOrtRunner(folder, { precision: 'full', threads: 2 });
    const wanted = await runSequence(exact, tokenIds, { prefixRows: 768, chunks: [256] });
    await exact.close();
    // scores of one head and 600 rows: without parts and, with fewer, in parts that are not expanded
    for (const maxScores of [2 ** 26, 2 ** 20]) {
      const fast = await openOrtRunner(folder, { precision: 'full', threads: 2, reproducible: false, maxScores });
      for (const prefixRows of [768, 2_048]) {
        const met = await runSequence(fast, tokenIds, { prefixRows, chunks: [600] });
        expect(largestDifference(met.logits, wanted.logits)).toBeLessThan(1e-4);
        met.latents.forEach((rows, layer) => {
          expect(largestDifference(rows, wanted.latents[layer] ?? [])).toBeLessThan(1e-4);
        });
      }
      await fast.close();
    }
  });
});
