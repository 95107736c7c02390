import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadModelFolder } from '../../src/engine/model/load-model.ts';
import { latentWidth } from '../../src/engine/model/model-config.ts';
import { loadReferenceCases } from '../../src/engine/model/reference-case.ts';
import type { ModelRunner } from '../../src/engine/ports.ts';
import { type OrtRunnerOptions, openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { findBest, VerifySequence } from '../../src/engine/verify-sequence.ts';
import { nameVulkanDriver } from '../support/find-vulkan.ts';
import { largestDifference } from '../support/model-run.ts';

const root = join(import.meta.dirname, '../..');
const fixtures = join(root, 'test/fixtures');
const found = nameVulkanDriver();
const isMissing = 'missing' in found;
const onDevice = { precision: 'full', threads: 1, reproducible: false, provider: 'webgpu' } as const;
const onCpu = { ...onDevice, provider: 'cpu' } as const;
/** Logits of the fixtures go to about 7. */
const mostDifference = 2e-4;
/** Of the continuation. */
const steps = 4;

/** Logits of a prompt, and what is said after it, each step fed its own choice. */
async function answer(folder: string, options: OrtRunnerOptions, tokenIds: readonly number[]) {
  const runner = await openOrtRunner(folder, options);
  try {
    const sequence = new VerifySequence(runner, 0);
    const logits = await sequence.prefill(tokenIds, [256]);
    const said: number[] = [];
    let last = logits.subarray(-runner.vocabularySize);
    for (let step = 0; step < steps; step++) {
      said.push(findBest(last));
      last = await sequence.extend(said.slice(-1));
    }
    return { logits, said };
  } finally {
    await runner.close();
  }
}

function rootMeanSquare(left: Float32Array, right: Float32Array): number {
  const squares = left.reduce((sum, value, at) => sum + (value - (right[at] ?? Number.NaN)) ** 2, 0);
  return Math.sqrt(squares / left.length);
}

describe.skipIf(isMissing)(isMissing ? `webgpu (skipped: ${found.missing})` : 'webgpu', () => {
  it('reads own rows that lie in blocks', async () => {
    const runner = await openOrtRunner(join(fixtures, 'k2-tiny-bf16'), onDevice);
    const { layers, latentWidth: width } = runner;
    const rows = Array.from({ length: layers }, (_, layer) =>
      Float32Array.from({ length: 2 * 512 * width }, (__, at) => Math.sin(at * 0.7 + layer)),
    );
    // block 0 and 1 of the first sequence, then of the second, turned round
    const inBlocks = rows.map((layer) => {
      const blocks = [3, 1, 0, 2].map((block) => layer.subarray(block * 256 * width, (block + 1) * 256 * width));
      return Float32Array.from(blocks.flatMap((block) => [...block]));
    });
    const step = {
      sequences: [300, 20].map((start) => ({ tokenIds: [7], start, wanted: 1 })),
      prefix: rows.map(() => new Float32Array()),
      prefixRows: 0,
      suffix: rows,
      suffixRows: 512,
      head: true,
    };
    const sideBySide = await runner.run(step);
    const met = await runner.run({ ...step, suffix: inBlocks, suffixBlocks: [[2, 1], [3]] });
    await runner.close();
    expect(met.logits).toEqual(sideBySide.logits);
  });

  it.each(['k2-tiny-bf16', 'k2-tiny-int4', 'moonlight-tiny-bf16'])('answers %s as the cpu does', async (name) => {
    const folder = join(fixtures, name);
    const [reference] = (await loadReferenceCases(folder)).filter(({ file }) => file === 'expected.json');
    const ids = reference?.tokenIds ?? [];
    const expected = await answer(folder, onCpu, ids);
    const met = await answer(folder, onDevice, ids);
    expect(largestDifference(met.logits, expected.logits)).toBeLessThan(mostDifference);
    expect(met.said).toEqual(expected.said);
    expect(met.said).toEqual(reference?.greedy.slice(0, steps).map(({ tokenId }) => tokenId));
  });

  it('answers in int4 closer to float32 than the cpu, which rounds inputs too', async () => {
    const folder = join(fixtures, 'k2-tiny-int4');
    const ids = Array.from({ length: 32 }, (_, at) => 3 + 5 * at);
    const logitsOf = async (options: OrtRunnerOptions): Promise<Float32Array> => {
      const runner = await openOrtRunner(folder, options);
      const logits = await new VerifySequence(runner, 0).prefill(ids, [256]);
      await runner.close();
      return logits;
    };
    const plain = await logitsOf(onCpu);
    const cpu = rootMeanSquare(await logitsOf({ ...onCpu, precision: 'int4' }), plain);
    const device = rootMeanSquare(await logitsOf({ ...onDevice, precision: 'int4' }), plain);
    expect(device).toBeGreaterThan(0);
    expect(device).toBeLessThan(cpu);
  });

  it('keeps a final prefix on the device, and reads one that is not final again', async () => {
    const folder = join(fixtures, 'k2-tiny-bf16');
    const { config, weights } = await loadModelFolder(folder);
    weights.close();
    const width = latentWidth(config);
    /** Logits twice, the second time behind a prefix that was overwritten with zeros. */
    const runTwice = async (runner: ModelRunner, isPrefixFinal: boolean) => {
      const prefix = Array.from({ length: config.layers }, (_, layer) =>
        Float32Array.from({ length: 256 * width }, (_unused, at) => Math.sin(at * 0.37 + layer)),
      );
      const suffix = prefix.map(() => new Float32Array(2 * 32 * width));
      const sequences = [
        { tokenIds: [5, 6], start: 256, wanted: 1 },
        { tokenIds: [9], start: 256, wanted: 1 },
      ];
      const input = { sequences, prefix, prefixRows: 256, isPrefixFinal, suffix, suffixRows: 32, head: true };
      const { logits: first } = await runner.run(input);
      for (const layer of prefix) layer.fill(0);
      const { logits: second } = await runner.run(input);
      return { first, second };
    };
    const [cpu, device] = [await openOrtRunner(folder, onCpu), await openOrtRunner(folder, onDevice)];
    const expected = await runTwice(cpu, true);
    const [final, open] = [await runTwice(device, true), await runTwice(device, false)];
    await cpu.close();
    await device.close();
    expect(largestDifference(final.first, expected.first)).toBeLessThan(mostDifference);
    expect(final.second).toEqual(final.first);
    expect(largestDifference(open.second, expected.second)).toBeLessThan(mostDifference);
    expect(largestDifference(expected.second, expected.first)).toBeGreaterThan(0.1);
  });
});

describe('a provider that is not there', () => {
  const hasCuda = existsSync(
    join(
      root,
      'node_modules/onnxruntime-node/bin/napi-v6',
      process.platform,
      process.arch,
      'libonnxruntime_providers_cuda.so',
    ),
  );

  it.skipIf(hasCuda)('is named with what it needs: cuda', async () => {
    await expect(
      openOrtRunner(join(fixtures, 'k2-tiny-bf16'), { ...onDevice, provider: 'cuda' }),
    ).rejects.toMatchObject({
      code: 'input.config',
      message: expect.stringMatching(/^QUIRE_PROVIDER is cuda, which this machine does not offer: .*gpu:install/),
    });
  });

  it('is named with what it needs: webgpu', () => {
    // the driver of a process cannot be taken away again
    const runner = pathToFileURL(join(root, 'src/engine/runtime/ort-runner.ts')).href;
    const script = `
      const { openOrtRunner } = await import(${JSON.stringify(runner)});
      const folder = ${JSON.stringify(join(fixtures, 'k2-tiny-bf16'))};
      await openOrtRunner(folder, ${JSON.stringify(onDevice)}).catch(({ code, message }) => console.log(code, message));`;
    const said = execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', script], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, VK_ICD_FILENAMES: '/nowhere.json', VK_DRIVER_FILES: '/nowhere.json' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    expect(said.trim()).toMatch(/^input\.config QUIRE_PROVIDER is webgpu, which this machine does not offer: .*Vulkan/);
  });

  it('is not asked for equal bits', async () => {
    const options = { ...onDevice, reproducible: true };
    await expect(openOrtRunner(join(fixtures, 'k2-tiny-bf16'), options)).rejects.toMatchObject({
      code: 'input.config',
      message: 'reproducible results are computed on the cpu, met webgpu',
    });
  });
});
