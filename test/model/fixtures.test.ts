import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasExactInt8 } from '../../src/engine/runtime/cpu-features.ts';
import { maxRelativeDifference, verifyModel } from '../../src/engine/verify.ts';

const fixtures = join(import.meta.dirname, '../fixtures');
let root = '';

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-verify-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function copyFixture(name: string): string {
  const folder = join(root, name);
  rmSync(folder, { recursive: true, force: true });
  cpSync(join(fixtures, name), folder, { recursive: true });
  return folder;
}

function editConfig(folder: string, change: Readonly<Record<string, unknown>>): void {
  const file = join(folder, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify({ ...config, ...change }));
}

describe('verifyModel', () => {
  it.each([
    ['k2-tiny-bf16', ['expected.json'], 32],
    ['k2-tiny-int4', ['expected-long.json', 'expected.json'], 43],
    ['moonlight-tiny-bf16', ['expected.json'], 28],
  ])('passes %s far within the tolerance', async (name, files, greedySteps) => {
    const folder = join(fixtures, name);
    const report = await verifyModel(folder, { threads: 1 });
    const loss = 'rms=\\d\\.\\d\\de-\\d best=\\d+/\\d+';
    // only that text is longer than a block and the tokens behind it
    const hasRounded = hasExactInt8() && files.includes('expected-long.json');
    expect(report.line).toMatch(
      new RegExp(
        `^ok .*${name} maxRel=\\d\\.\\d\\de-\\d greedy=${greedySteps}/${greedySteps} int4 ${loss}${hasRounded ? ` int8-prefix ${loss} \\(float32 ${loss}\\)` : ''} bits=equal$`,
      ),
    );
    expect(report.ok).toBe(true);
    // Random weights amplify nothing here: the error is two orders below the limit.
    expect(report.maxRel).toBeLessThan(maxRelativeDifference / 10);
    expect(report.cases.map((one) => one.file)).toEqual(files);
  });

  it.each([
    ['the softmax scale', { rope_scaling: null }],
    ['the routed scale', { routed_scaling_factor: 2.8 }],
    ['the norm', { rms_norm_eps: 1e-3 }],
  ])('fails when %s is wrong', async (_, change) => {
    const folder = copyFixture('k2-tiny-bf16');
    editConfig(folder, change);
    const report = await verifyModel(folder, { threads: 1 });
    expect(report.ok).toBe(false);
    expect(report.maxRel).toBeGreaterThan(maxRelativeDifference);
    expect(report.line).toMatch(/^fail .* greedy=\d+\/32 int4 /);
  });

  it('rejects a folder without reference logits', async () => {
    const folder = copyFixture('k2-tiny-bf16');
    rmSync(join(folder, 'expected.json'));
    await expect(verifyModel(folder, { threads: 1 })).rejects.toMatchObject({ code: 'input.model-folder' });
  });

  it.each([
    [{ logits_shape: [95, 512] }, '96 positions, logits_shape says 95'],
    [{ logits_shape: [96, 511] }, 'expected-logits.f32 holds 49152 values, logits_shape says 49056'],
    [{ positions: [96], logits_shape: [1, 512] }, 'position 96 is behind the 96 input_ids'],
    [{ greedy_margins: [1] }, '1 greedy_margins for 32 steps'],
    [{ logits_file: '../x' }, 'logits_file ../x is not a file name'],
    [{ logits_file: 'gone.f32' }, 'gone.f32 cannot be read'],
  ])('rejects reference data with %j', async (change, message) => {
    const folder = copyFixture('k2-tiny-bf16');
    const file = join(folder, 'expected.json');
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, 'utf8')), ...change }));
    await expect(verifyModel(folder, { threads: 1 })).rejects.toThrow(message);
  });
});
