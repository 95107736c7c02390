import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { sha256Hex } from '../../../src/base/hash.ts';
import { type Finalized, finalizeBatch } from '../../../src/batch/finalizer.ts';
import type { BatchRecord, Plan, SealReason } from '../../../src/batch/records.schema.ts';
import { ResultSpool } from '../../../src/batch/result-spool.ts';
import { openUnitLog } from '../../../src/batch/unit-log.ts';
import { prepareBatch } from '../../../src/batch/validate-batch.ts';
import { keys } from '../../../src/storage/index.ts';
import { groupedLine, resultOf, tenant, World } from './batch-world.ts';

let world: World;
let record: BatchRecord;
let plan: Plan;

/** Three units, lines interleaved: x 0 3 · y 1 4 · z 2 5. */
beforeEach(async () => {
  world = new World();
  const created = await world.createBatch(
    ['x', 'y', 'z', 'x', 'y', 'z'].map((group, index) => groupedLine(`c${index}`, group)),
  );
  const preparation = await prepareBatch(world, created);
  if (preparation.type === 'rejected') throw new Error('the fixture is valid');
  plan = preparation.plan;
  record = { ...created, status: 'finalizing', finalizing_at: 1_800_000_100, output_expires_after_seconds: 3_600 };
});

const finalize = (): Promise<Finalized> => finalizeBatch(world, record, plan);
const sealAs = async (unitId: string, reason: SealReason): Promise<unknown> =>
  openUnitLog(world.store, tenant, record.id, unitId).seal(reason);

describe('finalizeBatch', () => {
  it('writes both files in input order, and counts what it wrote', async () => {
    await world.runUnit(record.id, 'u000000', [resultOf(3, 'c3'), resultOf(0, 'c0', 'failed')]);
    await world.runUnit(record.id, 'u000001', [resultOf(1, 'c1'), resultOf(4, 'c4')]);
    await world.runUnit(record.id, 'u000002', [resultOf(5, 'c5', 'failed'), resultOf(2, 'c2')]);
    const finalized = await finalize();
    const { output, errors } = await world.readResults(record.id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['c1', 'c2', 'c3', 'c4']);
    expect(errors.map(({ custom_id }) => custom_id)).toEqual(['c0', 'c5']);
    expect(finalized).toMatchObject({ request_counts: { total: 6, completed: 4, failed: 2 }, isExpired: false });
    expect(finalized.usage).toEqual({
      input_tokens: 40,
      input_tokens_details: { cached_tokens: 24 },
      output_tokens: 16,
      output_tokens_details: { reasoning_tokens: 12 },
      total_tokens: 56,
    });
    const file = await world.batches.getFile(tenant, finalized.output_file_id ?? '');
    expect(file).toMatchObject({ purpose: 'batch_output', created_at: 1_800_000_100, expires_at: 1_800_003_700 });
    const content = await world.batches.openFileContent(tenant, file.id);
    expect(sha256Hex(Buffer.concat(await content.stream.toArray()))).toBe(file.sha256);
  });

  it('asks for every slot once, and for none that is not there', async () => {
    await world.runUnit(record.id, 'u000000', [resultOf(3, 'c3'), resultOf(0, 'c0')]);
    await world.runUnit(record.id, 'u000001', [resultOf(1, 'c1'), resultOf(4, 'c4')]);
    await world.runUnit(record.id, 'u000002', [resultOf(5, 'c5'), resultOf(2, 'c2')]);
    const { objects } = await world.store.list(keys.units(tenant, record.id));
    const slots = objects.map(({ key }) => key).filter((key) => key.includes('/log/'));
    const get = vi.spyOn(world.store, 'get');
    await finalize();
    const asked = get.mock.calls.map(([key]) => key).filter((key) => key.includes('/log/'));
    expect(asked.toSorted()).toEqual(slots);
  });

  it.each([
    ['cancelled', 'batch_cancelled', false],
    ['expired', 'batch_expired', true],
    ['quarantined', 'line_quarantined', false],
    ['done', 'internal_error', false],
  ] as const)('gives lines without result in a unit sealed as %s an error line', async (reason, code, isExpired) => {
    const log = openUnitLog(world.store, tenant, record.id, 'u000000');
    await log.claim('w');
    await log.append([resultOf(0, 'c0')]);
    await log.seal(reason);
    await world.runUnit(record.id, 'u000001', [resultOf(1, 'c1'), resultOf(4, 'c4')]);
    await world.runUnit(record.id, 'u000002', [resultOf(2, 'c2'), resultOf(5, 'c5')]);
    expect(await finalize()).toMatchObject({ request_counts: { total: 6, completed: 5, failed: 1 }, isExpired });
    const { errors } = await world.readResults(record.id);
    expect(errors).toMatchObject([{ custom_id: 'c3', response: null, error: { code } }]);
    expect(errors[0]?.id).toMatch(/^batch_req_[0-9a-f]{24}$/);
  });

  it('names no file that would be empty', async () => {
    for (const { id } of plan.units) await sealAs(id, 'cancelled');
    const finalized = await finalize();
    expect(finalized.output_file_id).toBeNull();
    expect(finalized.error_file_id).not.toBeNull();
    expect(await world.readText(keys.output(tenant, record.id))).toBeUndefined();
  });

  it('writes a manifest that agrees with the files, line by line', async () => {
    await world.runUnit(record.id, 'u000000', [resultOf(0, 'c0'), resultOf(3, 'c3', 'failed')]);
    await sealAs('u000001', 'expired');
    await sealAs('u000002', 'expired');
    await finalize();
    const manifest = JSON.parse((await world.readText(keys.manifest(tenant, record.id))) ?? '') as {
      version: number;
      input_lines: number;
      output: { sha256: string; bytes: number; lines: number };
      error: { sha256: string; bytes: number; lines: number };
      lines: { custom_id: string; outcome: string; sha256: string; bytes: number }[];
      totals: object;
    };
    expect(manifest).toMatchObject({ version: 1, input_lines: 6, totals: { completed: 1, failed: 5 } });
    for (const [part, outcome, key] of [
      ['output', 'completed', keys.output(tenant, record.id)],
      ['error', 'failed', keys.errors(tenant, record.id)],
    ] as const) {
      const text = (await world.readText(key)) ?? '';
      expect(sha256Hex(text)).toBe(manifest[part].sha256);
      expect(Buffer.byteLength(text)).toBe(manifest[part].bytes);
      const said = manifest.lines
        .filter((line) => line.outcome === outcome)
        .map(({ sha256, bytes }) => [sha256, bytes]);
      const met = text
        .trimEnd()
        .split('\n')
        .map((line) => [sha256Hex(line), Buffer.byteLength(line)]);
      expect(met).toEqual(said);
      expect(met).toHaveLength(manifest[part].lines);
    }
  });

  it('writes the same when it runs twice, or twice at once', async () => {
    await world.runUnit(record.id, 'u000000', [resultOf(0, 'c0'), resultOf(3, 'c3')]);
    await sealAs('u000001', 'cancelled');
    await sealAs('u000002', 'cancelled');
    const snapshot = async (): Promise<(string | undefined)[]> =>
      Promise.all([keys.output, keys.errors, keys.manifest].map((keyOf) => world.readText(keyOf(tenant, record.id))));
    const first = await finalize();
    const before = await snapshot();
    expect(await Promise.all([finalize(), finalize()])).toEqual([first, first]);
    expect(await snapshot()).toEqual(before);
    expect((await world.batches.listFiles(tenant, { purpose: 'batch_output', limit: 9 })).data).toHaveLength(2);
  });

  it('refuses to finalize while a unit is open', async () => {
    await sealAs('u000000', 'done').catch(() => {});
    await sealAs('u000001', 'cancelled');
    await expect(finalize()).rejects.toMatchObject({ code: 'bug.invariant' });
  });
});

describe('ResultSpool', () => {
  const folders = async (): Promise<string[]> =>
    (await readdir(tmpdir())).filter((name) => name.startsWith('quire-results-'));

  it('gives back by index what went in by unit, from memory and from disk', async () => {
    const before = await folders();
    const spool = new ResultSpool(10);
    const texts = Array.from({ length: 50 }, (_, index) => `result ${index} ${'é'.repeat(index)}`);
    await Promise.all([...texts.entries()].reverse().map(([index, text]) => spool.add(index, Buffer.from(text))));
    for (const [index, text] of texts.entries()) expect(Buffer.from(await spool.read(index)).toString()).toBe(text);
    expect(await folders()).toHaveLength(before.length + 1);
    await spool.close();
    expect(await folders()).toEqual(before);
  });

  it('knows what it was never given', async () => {
    const spool = new ResultSpool();
    await expect(spool.read(1)).rejects.toMatchObject({ code: 'bug.invariant' });
    await spool.close();
  });
});
