import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { median } from '../bench/figures.ts';
import { findPeerObstacle, openLlama } from '../bench/peer/llama-peer.ts';
import { modelShapes } from '../bench/peer/shapes.ts';
import { writeShapeCheckpoint } from '../bench/peer/write-checkpoint.ts';
import { writeGguf } from '../bench/peer/write-gguf.ts';

/** The benchmark compares two engines on one model: this is where they are shown to compute the same. */
const { tiny } = modelShapes;
const obstacle = findPeerObstacle();
const ids = Array.from({ length: 48 }, (_, index) => (index * 7919 + 300) % 4000);
let root = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-gguf-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Logits behind every token: [tokens][vocabulary]. */
async function scoreHere(runner: ModelRunner): Promise<Float32Array[]> {
  const rows = Array.from({ length: runner.layers }, () => new Float32Array(256 * runner.latentWidth));
  const sequences = [{ tokenIds: ids, start: 0, wanted: ids.length }];
  const step = {
    sequences,
    prefix: rows,
    prefixRows: 0,
    suffix: rows,
    suffixRows: 256,

    head: true,
  } as const;
  const { logits } = await runner.run(step);
  return ids.map((_, row) => logits.slice(row * tiny.vocabulary, (row + 1) * tiny.vocabulary));
}

async function scoreThere(file: string): Promise<Float32Array[]> {
  const llama = await openLlama(1);
  const model = await llama.loadModel({ modelPath: file, gpuLayers: 0, useMmap: false });
  const context = await model.createContext({
    contextSize: 256,
    sequences: 1,
    batchSize: 256,
    threads: 1,
    flashAttention: false,
  });
  const results = await context
    .getSequence()
    .controlledEvaluate(ids.map((id) => [id, { generateNext: { logits: true } }] as const));
  await llama.dispose();
  return results.map((result) => {
    const logits = new Float32Array(tiny.vocabulary);
    for (const [id, logit] of result?.next.logits ?? []) logits[id] = logit;
    return logits;
  });
}

const likeliest = (logits: Float32Array): number => logits.indexOf(Math.max(...logits));

function correlation(a: Float32Array, b: Float32Array): number {
  const mean = (values: Float32Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [both, squareA, squareB] = [0, 0, 0];
  for (const [index, value] of a.entries()) {
    const [x, y] = [value - meanA, (b[index] ?? 0) - meanB];
    both += x * y;
    squareA += x * x;
    squareB += y * y;
  }
  return both / Math.sqrt(squareA * squareB);
}

describe('the GGUF file of the benchmark', () => {
  it('gives the logits in node-llama-cpp that its checkpoint gives here', async ({ skip }) => {
    if (obstacle !== null) skip(obstacle);
    const folder = join(root, 'tiny');
    await writeShapeCheckpoint(folder, tiny);
    await writeGguf(folder, join(folder, 'model.gguf'));
    const runner = await openOrtRunner(folder, { precision: 'full', threads: 1 });
    const here = await scoreHere(runner);
    await runner.close();
    const there = await scoreThere(join(folder, 'model.gguf'));
    const likeness = here.map((logits, row) => correlation(logits, there[row] ?? new Float32Array(0)));
    // 8-bit activations there, none here: where they turn a choice of the router, a row goes another way
    expect(median(likeness)).toBeGreaterThan(0.99);
    expect(likeness.filter((one) => one > 0.9).length).toBeGreaterThan(0.75 * ids.length);
    const sameChoice = here.filter((logits, row) => likeliest(logits) === likeliest(there[row] ?? new Float32Array(1)));
    expect(sameChoice.length).toBeGreaterThan(0.75 * ids.length);
  });
});
