import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LatentBuffer } from '../../src/engine/kv/latent-buffer.ts';
import { loadModelFolder } from '../../src/engine/model/load-model.ts';
import type { ModelRunner, StepInput } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { openOrtSession } from '../../src/engine/runtime/ort-session.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

let root = '';
let runner: ModelRunner;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'quire-runner-'));
  writeTinyCheckpoint(root, { config: { max_position_embeddings: 300 } });
  runner = await openOrtRunner(root, { precision: 'full', threads: 1 });
});
afterAll(async () => {
  await runner.close();
  rmSync(root, { recursive: true, force: true });
});

const tokenIds = [3, 1, 4, 1, 5];

function step(change: Partial<StepInput> = {}): StepInput {
  const empty = new LatentBuffer(runner.layers, runner.latentWidth);
  return {
    sequences: [{ tokenIds, start: 0, wanted: 5 }],
    prefix: empty.view(0),
    prefixRows: 0,
    suffix: empty.view(5),
    suffixRows: 256,
    head: true,
    ...change,
  };
}

describe('openOrtRunner', () => {
  it('says what the model is', () => {
    const { layers, latentWidth, vocabularySize, contextTokens } = runner;
    expect({ layers, latentWidth, vocabularySize, contextTokens }).toEqual({
      layers: 3,
      latentWidth: 40,
      vocabularySize: 64,
      contextTokens: 300,
    });
  });

  const wanting = (wanted: number) => ({ sequences: [{ tokenIds, start: 0, wanted }] });

  it('gives logits of all rows, of the last ones, or of none, and latents always', async () => {
    const all = await runner.run(step());
    const last = await runner.run(step(wanting(1)));
    const none = await runner.run(step(wanting(0)));
    const headless = await runner.run(step({ head: false }));
    expect(all.logits.length).toBe(5 * 64);
    expect(last.logits).toEqual(all.logits.slice(4 * 64));
    expect((await runner.run(step(wanting(3)))).logits).toEqual(all.logits.slice(2 * 64));
    expect(none.logits.length).toBe(0);
    expect(headless.logits.length).toBe(0);
    expect(headless.hidden).toEqual(all.hidden);
    expect(all.hidden.length).toBe(5 * 64);
    expect(last.hidden).toEqual(all.hidden.slice(4 * 64));
    expect(last.latents).toEqual(all.latents);
    expect(none.latents).toEqual(all.latents);
    expect(all.latents.length).toBe(3 * 5 * 40);
  });

  it('gives several sequences the same rows whether all want equally many of their last ones or not', async () => {
    const shorter = [2, 7, 1, 8];
    const run = async (wanted: readonly number[], others: readonly number[] = tokenIds) => {
      const [one = 0, other = 0] = wanted;
      const sequences = [
        { tokenIds, start: 0, wanted: one },
        { tokenIds: others, start: 3, wanted: other },
      ];
      const { logits } = await runner.run(step({ sequences, suffix: new LatentBuffer(3, 40, 512).view(512) }));
      return [logits.slice(0, one * 64), logits.slice(one * 64)] as const;
    };
    const [first, second] = await run([5, 5]);
    expect(await run([2, 2])).toEqual([first.slice(3 * 64), second.slice(3 * 64)]);
    expect(await run([1, 1])).toEqual([first.slice(4 * 64), second.slice(4 * 64)]);
    expect(await run([1, 4])).toEqual([first.slice(4 * 64), second.slice(64)]);
    const [, ofShorter] = await run([5, 4], shorter);
    expect(await run([2, 2], shorter)).toEqual([first.slice(3 * 64), ofShorter.slice(2 * 64)]);
  });

  it('leaves the arrays it reads unchanged and ignores rows it must not see', async () => {
    const noise = (): Float32Array[] =>
      Array.from({ length: 3 }, (_, layer) =>
        Float32Array.from({ length: 512 * 40 }, (__, at) => Math.sin(at + layer)),
      );
    const clean = await runner.run(step());
    const [prefix, suffix] = [noise(), noise()];
    const noisy = await runner.run(step({ prefix, suffix }));
    expect(noisy.logits).toEqual(clean.logits);
    expect(prefix).toEqual(noise());
    expect(suffix).toEqual(noise());
  });

  it.each([
    { reproducible: true, precision: 'full' },
    { reproducible: false, precision: 'full' },
    { reproducible: false, precision: 'int4' },
  ] as const)('reads no row that a sequence has room for and does not use, with %j', async (options) => {
    const own = await openOrtRunner(root, { ...options, threads: 1 });
    const used = own.rowStep;
    const sequences = [4, 2].map((start) => ({ tokenIds, start, wanted: 5 }));
    const suffixOf = (room: number): Float32Array[] =>
      Array.from({ length: 3 }, (_, layer) => {
        const rows = new Float32Array(2 * room * 40).fill(Number.NaN);
        for (const sequence of [0, 1]) {
          const start = sequence * room * 40;
          for (let at = 0; at < used * 40; at++) rows[start + at] = Math.sin(at + layer + sequence);
        }
        return rows;
      });
    const tight = await own.run(step({ sequences, suffix: suffixOf(used), suffixRows: used }));
    const suffix = suffixOf(4 * used);
    const roomy = await own.run(step({ sequences, suffix, suffixRows: 4 * used }));
    expect(roomy).toEqual(tight);
    expect(roomy.logits.every(Number.isFinite)).toBe(true);
    expect(suffix).toEqual(suffixOf(4 * used));
    await own.close();
  });

  it('takes a folder that is loaded already and closes its weights', async () => {
    const loaded = await loadModelFolder(root);
    const second = await openOrtRunner(loaded, { precision: 'full', threads: 1 });
    expect((await second.run(step())).logits).toEqual((await runner.run(step())).logits);
    await second.close();
    await second.close();
    await expect(second.run(step())).rejects.toMatchObject({ code: 'bug.invariant' });
  });

  it('gives the same bytes when the scores of a step are bounded', async () => {
    const small = await openOrtRunner(root, { precision: 'full', threads: 1, maxScores: 2 * 256 * 2 });
    for (let wanted = 0; wanted <= 5; wanted++) {
      const input = step(wanting(wanted));
      const parts = await small.run(input);
      expect(parts).toEqual(await runner.run(input));
      expect(input.suffix.every((rows) => rows.every((value) => value === 0))).toBe(true);
    }
    await small.close();
  });

  it.each([
    [{ sequences: [{ tokenIds: [64], start: 0, wanted: 1 }] }, 'token id 64 outside the vocabulary of 64'],
    [{ sequences: [{ tokenIds: [-1], start: 0, wanted: 1 }] }, 'token id -1 outside the vocabulary of 64'],
    [{ sequences: [{ tokenIds: [], start: 0, wanted: 0 }] }, 'a step has tokens'],
    [{ sequences: [] }, 'a step has tokens'],
    [{ prefixRows: 100 }, 'prefix of 100 rows'],
    [{ suffixRows: 100 }, 'suffix of 100 rows'],
    [{ prefixRows: 256 }, '5 rows from 0, behind a prefix of 256, room for 512'],
    [wanting(6), '6 rows are wanted of 5'],
    [{ sequences: [{ tokenIds, start: 252, wanted: 1 }] }, '5 rows from 252, behind a prefix of 0, room for 256'],
    [{ prefix: [] }, 'latents for every layer'],
    [{ suffix: [1, 2, 3].map(() => new Float32Array(40)) }, 'latents hold 40, a step reads 10240'],
  ])('rejects a step with %j', async (change, message) => {
    await expect(runner.run(step(change))).rejects.toThrow(message);
  });

  it('rejects tokens behind the window', async () => {
    const long = new LatentBuffer(runner.layers, runner.latentWidth, 512);
    const beyond = step({ sequences: [{ tokenIds, start: 296, wanted: 1 }], suffix: long.view(301), suffixRows: 512 });
    await expect(runner.run(beyond)).rejects.toMatchObject({ code: 'input.context-length' });
  });
});

describe('openOrtSession', () => {
  it('wraps what the runtime refuses', async () => {
    const file = join(root, 'broken.onnx');
    writeFileSync(file, 'no model');
    const refused = openOrtSession(file, { threads: 1 });
    await expect(refused).rejects.toMatchObject({ code: 'bug.invariant' });
    await expect(refused).rejects.toThrow('onnxruntime refused the model: ');
  });
});
