import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CheckpointRunner, type OrtRunnerOptions, openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { runSequence } from '../support/model-run.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { writeTinyCheckpoint } from '../support/tiny-checkpoint.ts';

const tiny = { int4GroupColumns: 32, config: { num_hidden_layers: 4 } };

let root = '';
let model = '';
let prepared = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'quire-prepared-'));
  model = join(root, 'model');
  prepared = join(root, 'prepared');
  log.lines.length = 0;
  writeTinyCheckpoint(model, tiny, 3);
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const tokenIds = Array.from({ length: 300 }, (_, index) => (index * index * 7 + index * 3) % 61);

const log = new RecordingLogger();
const warnings = (): string[] => log.lines.map(({ message }) => message);

async function logitsOf(
  options: Partial<OrtRunnerOptions>,
): Promise<{ bytes: Buffer; digest: string; weights: string }> {
  const runner: CheckpointRunner = await openOrtRunner(model, { precision: 'int4', threads: 1, log, ...options });
  const { logits } = await runSequence(runner, tokenIds, { prefixRows: 256, chunks: [37] });
  await runner.close();
  const bytes = Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength);
  return { bytes, digest: runner.digest, weights: runner.weightsDigest };
}

const entries = (): string[] => readdirSync(prepared).sort();

describe('a prepared model', () => {
  it.each(
    (['full', 'int4'] as const).flatMap((precision) =>
      [true, false].map((reproducible) => ({ precision, reproducible })),
    ),
  )('gives the bits of the built one, with %j', async (options) => {
    const built = await logitsOf(options);
    const first = await logitsOf({ ...options, preparedFolder: prepared });
    const second = await logitsOf({ ...options, preparedFolder: prepared });
    expect(warnings()).toEqual([]);
    expect(first.bytes.equals(built.bytes)).toBe(true);
    expect(second.bytes.equals(built.bytes)).toBe(true);
    expect(second).toMatchObject({ digest: built.digest, weights: built.weights });
    expect(entries()).toHaveLength(1);
  });

  it('has weights in branches of branches', async () => {
    rmSync(model, { recursive: true });
    writeTinyCheckpoint(model, { ...tiny, config: { ...tiny.config, n_routed_experts: 128 } }, 3);
    const built = await logitsOf({});
    for (let time = 0; time < 2; time++) {
      expect((await logitsOf({ preparedFolder: prepared })).bytes.equals(built.bytes)).toBe(true);
    }
    expect(warnings()).toEqual([]);
  });

  it('is one for each number of stages, and the bits are those of one graph', async () => {
    const whole = await logitsOf({});
    for (const stages of [2, 3]) {
      for (let time = 0; time < 2; time++) {
        const { bytes } = await logitsOf({ stages, preparedFolder: prepared });
        expect(bytes.equals(whole.bytes)).toBe(true);
      }
    }
    expect(warnings()).toEqual([]);
    expect(entries()).toHaveLength(2);
  });

  it('is made once when several start together, and leaves nothing unfinished', async () => {
    const all = await Promise.all([1, 2, 3].map(() => logitsOf({ preparedFolder: prepared })));
    expect(all.every(({ bytes }) => bytes.equals(all[0]?.bytes ?? Buffer.of()))).toBe(true);
    expect(entries()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
  });

  it('is another when weights have changed, though their headers have not', async () => {
    const before = await logitsOf({ preparedFolder: prepared });
    writeTinyCheckpoint(model, tiny, 4);
    const after = await logitsOf({ preparedFolder: prepared });
    expect(after.weights).not.toBe(before.weights);
    expect(after.digest).not.toBe(before.digest);
    expect(entries()).toHaveLength(2);
  });

  it('is made anew when it is damaged', async () => {
    const built = await logitsOf({ preparedFolder: prepared });
    const [name = ''] = entries();
    writeFileSync(join(prepared, name, 'manifest.json'), '{');
    expect((await logitsOf({ preparedFolder: prepared })).bytes.equals(built.bytes)).toBe(true);
    expect(warnings()).toEqual([]);
    truncateSync(join(prepared, name, 'prepared-0.weights'), 100);
    expect((await logitsOf({ preparedFolder: prepared })).bytes.equals(built.bytes)).toBe(true);
    const model0 = join(prepared, name, 'prepared-0.onnx');
    writeFileSync(model0, Buffer.alloc(statSync(model0).size, 7));
    expect((await logitsOf({ preparedFolder: prepared })).bytes.equals(built.bytes)).toBe(true);
    expect(warnings()).toEqual(['prepared model cannot be read and is made again']);
    expect((await logitsOf({ preparedFolder: prepared })).bytes.equals(built.bytes)).toBe(true);
  });

  it('removes what a process that was killed has left long ago, and nothing that is in work', async () => {
    for (const [name, ageMs] of [
      ['unfinished-old', 7 * 3_600_000],
      ['unfinished-new', 1_000],
    ] as const) {
      mkdirSync(join(prepared, name), { recursive: true });
      const at = (Date.now() - ageMs) / 1_000;
      utimesSync(join(prepared, name), at, at);
    }
    await logitsOf({ preparedFolder: prepared });
    expect(entries().filter((name) => name.startsWith('unfinished'))).toEqual(['unfinished-new']);
  });

  it('says which setting is wrong when its folder cannot be made', async () => {
    writeFileSync(join(root, 'file'), '');
    await expect(logitsOf({ preparedFolder: join(root, 'file', 'models') })).rejects.toThrow(
      /^QUIRE_PREPARED_DIR is .*models, which cannot be written; allowed: a folder that can, or off$/,
    );
  });

  it('goes when four others were used since', async () => {
    const kinds = (['exact', 'fast'] as const).flatMap((form) => [1, 2, 3].map((stages) => ({ form, stages })));
    for (const [index, { form, stages }] of kinds.entries()) {
      const known = new Set(index === 0 ? [] : entries());
      await logitsOf({ reproducible: form === 'exact', stages, preparedFolder: prepared });
      const fresh = entries().find((name) => !known.has(name)) ?? '';
      utimesSync(join(prepared, fresh), index, index);
    }
    expect(entries()).toHaveLength(4);
  });
});

describe('stages', () => {
  it.each([0, 4, 1.5])('rejects %d of them', async (stages) => {
    await expect(logitsOf({ stages })).rejects.toThrow(`the model has 4 layers, met ${stages} stages, allowed: 1 to 3`);
  });
});
