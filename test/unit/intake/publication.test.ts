import { describe, expect, it } from 'vitest';
import { sha256Hex } from '../../../src/base/hash.ts';
import type { DropStatus } from '../../../src/intake/index.ts';
import { keys } from '../../../src/storage/index.ts';
import { tenant } from '../batch/batch-world.ts';
import { batchIdOf, IntakeWorld } from './intake-world.ts';

const key = 'inbox/leases/lease-7.md';
const questions = Array.from({ length: 12 }, (_, index) => ({ id: `q${index}`, question: `Question ${index}?` }));

async function startBatch(world: IntakeWorld) {
  const store = world.watchStore();
  const intake = world.startIntake(store);
  await world.dropTemplate('inbox/leases/', { questions });
  const etag = await world.drop(key, 'text');
  await world.pass(intake, 6);
  await world.janitor.sweep();
  return { store, intake, batchId: batchIdOf(key, etag) };
}

describe('results', () => {
  it('appear as they finish, and are complete and in input order with the manifest', async () => {
    const world = new IntakeWorld();
    const { intake, batchId } = await startBatch(world);
    const seen: number[] = [];
    for (const more of [2, 3, 4]) {
      await world.runUnits(batchId, more);
      await world.bus.publish({ type: 'unit-segment', batchId, unitId: 'u000000' });
      await world.pass(intake, 2);
      const { results, manifest, status } = await world.outboxOf(key);
      expect(manifest).toBeUndefined();
      expect(status?.request_counts).toEqual({ total: 12, completed: results?.length, failed: 0 });
      seen.push(results?.length ?? 0);
    }
    expect(seen).toEqual([2, 5, 9]);
    await world.finish(intake);
    const { results, manifest } = await world.outboxOf(key);
    expect(results?.map((line) => line.custom_id)).toEqual(questions.map(({ id }) => id));
    const lines = ((await world.readText('outbox/leases/lease-7.md/results.jsonl')) ?? '').trimEnd().split('\n');
    expect(manifest?.lines.map(({ sha256, bytes }) => [sha256, bytes])).toEqual(
      lines.map((line) => [sha256Hex(line), Buffer.byteLength(line)]),
    );
    expect(manifest?.totals).toMatchObject({ lines: 12, completed: 12, failed: 0, usage: { total_tokens: 12 * 14 } });
    expect(lines.join('\n')).toBe(((await world.readText(keys.output(tenant, batchId))) ?? '').trimEnd());
  });

  it('hold failed and unrun lines too, so that their number equals the input', async () => {
    const world = new IntakeWorld();
    const { intake, batchId } = await startBatch(world);
    await world.runUnits(batchId, 5);
    await world.batches.cancelBatch(tenant, batchId);
    await world.finish(intake);
    const { results, manifest, status } = await world.outboxOf(key);
    expect(status).toMatchObject({ status: 'cancelled', request_counts: { total: 12, completed: 5, failed: 7 } });
    expect(results?.map((line) => line.custom_id)).toEqual(questions.map(({ id }) => id));
    expect(manifest?.totals).toMatchObject({ lines: 12, completed: 5, failed: 7 });
    expect(manifest?.lines.filter(({ outcome }) => outcome === 'failed')).toHaveLength(7);
  });

  it('already shown stay shown by a new process', async () => {
    const world = new IntakeWorld();
    const { intake, batchId } = await startBatch(world);
    await world.runUnits(batchId, 5);
    await world.pass(intake, 6);
    const next = world.startIntake();
    await next.adopt();
    await world.runUnits(batchId, 1);
    await world.pass(next, 3);
    expect((await world.outboxOf(key)).results).toHaveLength(6);
  });

  it('that were damaged in the store are not published as complete', async () => {
    const world = new IntakeWorld();
    const { intake, batchId } = await startBatch(world);
    await world.runUnits(batchId);
    world.clock.advance(1_100);
    await world.janitor.sweep();
    const text = (await world.readText(keys.output(tenant, batchId))) ?? '';
    await world.store.put(keys.output(tenant, batchId), Buffer.from(text.replace('q3', 'q4')));
    await world.pass(intake, 60);
    const { receipt, manifest } = await world.outboxOf(key);
    expect(manifest).toBeUndefined();
    expect(receipt).toMatchObject({ state: 'quarantined', batch_id: batchId });
    expect(receipt?.reason).toMatch(/result "q3" of batch .* is not what it was/);
  });
});

describe('the status object', () => {
  it('changes at most once a second, and only when it says something new', async () => {
    const world = new IntakeWorld();
    const { store, intake, batchId } = await startBatch(world);
    const written: string[] = [];
    const note = async (): Promise<void> => {
      const text = await world.readText('status/leases/lease-7.md.json');
      if (text !== undefined && text !== written.at(-1)) written.push(text);
    };
    for (let step = 0; step < 60; step++) {
      if (step % 3 === 0 && step < 30) {
        const counts = { promptTokens: 9, prefilledTokens: 9, completionTokens: step };
        const progress = { unitId: 'u000000', customId: 'q1', step: 'answer' as const, ...counts, atMs: step };
        await world.bus.saveProgress(batchId, progress);
        await world.bus.publish({ type: 'unit-segment', batchId, unitId: 'u000000' });
      }
      await intake.tend();
      await note();
      world.clock.advance(200);
    }
    const times = written.map((text) => Date.parse((JSON.parse(text) as DropStatus).at));
    const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(1_000);
    expect(written.length).toBeGreaterThan(4);
    expect(written.length).toBeLessThan(10);
    const last = JSON.parse(written.at(-1) ?? '') as DropStatus;
    expect(last.current).toEqual({ custom_id: 'q1', step: 'answer', pages_read: null, tokens: 36 });
    const total = store.writes.length;
    await world.pass(intake, 30);
    expect(store.writes.length).toBe(total);
  });

  it('says why a batch waits', async () => {
    const world = new IntakeWorld();
    const { intake } = await startBatch(world);
    const reasonAfter = async (counts: typeof world.queue.jobCounts): Promise<string | null | undefined> => {
      world.queue.jobCounts = counts;
      await world.pass(intake, 3);
      return (await world.outboxOf(key)).status?.wait_reason;
    };
    expect(await reasonAfter({ waiting: 5, active: 1, delayed: 0 })).toBe('queued behind other work');
    expect(await reasonAfter({ waiting: 5, active: 0, delayed: 0 })).toBe('queued: no worker is running');
    expect(await reasonAfter({ waiting: 0, active: 0, delayed: 2 })).toBe('put off: it will be tried again soon');
    world.queue.away = true;
    await world.pass(intake, 3);
    expect((await world.outboxOf(key)).status?.wait_reason).toMatch(/^the work queue is unreachable/);
  });

  it('estimates the rest from the pace so far', async () => {
    const world = new IntakeWorld();
    const { intake, batchId } = await startBatch(world);
    expect((await world.outboxOf(key)).status?.eta_seconds).toBeNull();
    world.clock.advance(20_000);
    await world.runUnits(batchId, 4);
    await world.pass(intake, 1);
    const eta = (await world.outboxOf(key)).status?.eta_seconds ?? 0;
    expect(eta).toBeGreaterThanOrEqual(40);
    expect(eta).toBeLessThanOrEqual(50);
  });
});
