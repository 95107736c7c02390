import { beforeEach, describe, expect, it } from 'vitest';
import type { BatchRecord } from '../../../src/batch/records.schema.ts';
import { openUnitLog } from '../../../src/batch/unit-log.ts';
import { keys, prefixes } from '../../../src/storage/index.ts';
import { chatLine, groupedLine, resultOf, tenant, World } from './batch-world.ts';

let world: World;
beforeEach(() => {
  world = new World();
});

const handle = (id: string): Promise<void> => world.janitor.handle(tenant, id);
const jobs = (): string[] => world.queue.units.map(({ job, epoch }) => `${job.unitId}.${epoch}`).sort();
const dropJobs = (): void => void world.queue.units.splice(0);
const markers = async (): Promise<number> => (await world.store.list(prefixes.open)).objects.length;

async function start(lines: readonly string[], more: Parameters<World['createBatch']>[1] = {}): Promise<BatchRecord> {
  const { id } = await world.createBatch(lines, more);
  await handle(id);
  return world.get(id);
}

describe('Janitor from start to end', () => {
  it('validates, plans, enqueues, counts, finalizes and closes', async () => {
    const batch = await start([groupedLine('a', 'x'), groupedLine('b', 'y')]);
    expect(batch).toMatchObject({
      status: 'in_progress',
      model: 'm',
      request_counts: { total: 2, completed: 0, failed: 0 },
    });
    expect(jobs()).toEqual(['u000000.0', 'u000001.0']);
    expect(world.queue.units[0]?.priority).toBe('batch');

    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'a')]);
    world.clock.advance(2_000);
    await handle(batch.id);
    expect(await world.get(batch.id)).toMatchObject({
      status: 'in_progress',
      request_counts: { total: 2, completed: 1, failed: 0 },
      usage: { total_tokens: 14 },
    });

    await world.runUnit(batch.id, 'u000001', [resultOf(1, 'b', 'failed')]);
    await handle(batch.id);
    const done = await world.get(batch.id);
    expect(done).toMatchObject({ status: 'completed', request_counts: { total: 2, completed: 1, failed: 1 } });
    expect(done.output_file_id).toMatch(/^file-[0-9a-f]{24}$/);
    expect(done.error_file_id).toMatch(/^file-[0-9a-f]{24}$/);
    expect(await markers()).toBe(0);
    const statuses = world.bus.events.flatMap((event) => (event.type === 'batch-change' ? [event.status] : []));
    expect([...new Set(statuses)]).toEqual(['in_progress', 'finalizing', 'completed']);
  });

  it('fails a batch with bad lines, showing the first 100 of all', async () => {
    const batch = await start([...Array.from({ length: 150 }, () => 'nonsense'), chatLine('a')]);
    expect(batch).toMatchObject({
      status: 'failed',
      error_total: 150,
      request_counts: { total: 0, completed: 0, failed: 0 },
    });
    expect(batch.errors).toHaveLength(100);
    expect(jobs()).toEqual([]);
    expect(await markers()).toBe(0);
  });

  it('leaves a final batch as it is', async () => {
    const batch = await start(['nonsense']);
    const { etag } = (await world.store.head(keys.batch(tenant, batch.id))) ?? { etag: '' };
    await handle(batch.id);
    await world.janitor.sweep();
    expect((await world.store.head(keys.batch(tenant, batch.id)))?.etag).toBe(etag);
  });

  it('ignores hints about batches that are not there', async () => {
    await expect(handle('batch_x')).resolves.toBeUndefined();
  });
});

describe('Janitor and the queue', () => {
  it('adds the jobs of a wiped queue again, claimed or not', async () => {
    const batch = await start([groupedLine('a', 'x'), groupedLine('b', 'y')]);
    await openUnitLog(world.store, tenant, batch.id, 'u000000').claim('w');
    dropJobs();
    world.clock.advance(2_000);
    await world.janitor.sweep();
    expect(jobs()).toEqual(['u000000.1', 'u000001.0']);
  });

  it('leaves alone a unit whose job lives under an older number', async () => {
    const batch = await start([chatLine('a')]);
    const log = openUnitLog(world.store, tenant, batch.id, 'u000000');
    await log.claim('w');
    await log.claim('w');
    for (const janitor of [world.janitor, world.newJanitor()]) {
      world.clock.advance(2_000);
      await janitor.handle(tenant, batch.id);
    }
    expect(jobs()).toEqual(['u000000.0']);
  });

  it('adds no job for a unit that is sealed', async () => {
    const batch = await start([groupedLine('a', 'x'), groupedLine('b', 'y')]);
    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'a')]);
    dropJobs();
    world.clock.advance(2_000);
    await world.janitor.sweep();
    expect(jobs()).toEqual(['u000001.0']);
  });

  it('gets by without Redis where it can, and enqueues when it is back', async () => {
    world.queue.away = true;
    const { id } = await world.createBatch([chatLine('a')]);
    await expect(handle(id)).rejects.toMatchObject({ code: 'transient.queue-unreachable' });
    expect((await world.get(id)).status).toBe('in_progress');
    const cancelled = await world.createBatch([chatLine('b')]);
    await world.batches.cancelBatch(tenant, cancelled.id);
    await world.janitor.sweep();
    expect((await world.get(cancelled.id)).status).toBe('cancelled');
    world.queue.away = false;
    await world.janitor.sweep();
    expect(jobs()).toEqual(['u000000.0']);
  });

  it('sets a unit aside whose workers end without a result again and again', async () => {
    const batch = await start([groupedLine('a', 'x'), groupedLine('b', 'y')]);
    const log = openUnitLog(world.store, tenant, batch.id, 'u000000');
    for (let death = 0; death < 25; death++) await log.claim('w');
    await world.runUnit(batch.id, 'u000001', [resultOf(1, 'b')]);
    world.clock.advance(2_000);
    await world.janitor.sweep();
    await world.janitor.sweep();
    expect(await world.get(batch.id)).toMatchObject({
      status: 'completed',
      request_counts: { completed: 1, failed: 1 },
    });
    expect((await world.readResults(batch.id)).errors).toMatchObject([{ error: { code: 'line_quarantined' } }]);
  });
});

describe('Janitor and cancel', () => {
  it('keeps what is finished and gives the rest an error line', async () => {
    const batch = await start([groupedLine('a', 'x'), groupedLine('b', 'y')]);
    const worker = openUnitLog(world.store, tenant, batch.id, 'u000000');
    await world.runUnit(batch.id, 'u000001', [resultOf(1, 'b')]);
    await worker.claim('w');
    await world.batches.cancelBatch(tenant, batch.id);
    await handle(batch.id);
    expect(await world.get(batch.id)).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 2, completed: 1, failed: 1 },
    });
    await expect(worker.append([resultOf(0, 'late')])).rejects.toMatchObject({ code: 'ownership.lost' });
    const { output, errors } = await world.readResults(batch.id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['b']);
    expect(errors).toMatchObject([{ custom_id: 'a', error: { code: 'batch_cancelled' } }]);
    expect(world.bus.events).toContainEqual({ type: 'batch-cancel', batchId: batch.id });
  });

  it('gives every line of a batch that was never looked at an error line', async () => {
    const { id } = await world.createBatch([chatLine('a'), chatLine('b')]);
    await world.batches.cancelBatch(tenant, id);
    await handle(id);
    expect(await world.get(id)).toMatchObject({
      status: 'cancelled',
      request_counts: { total: 2, completed: 0, failed: 2 },
    });
    expect(jobs()).toEqual([]);
  });

  it('cancels a batch whose input is bad, saying so', async () => {
    const { id } = await world.createBatch(['nonsense']);
    await world.batches.cancelBatch(tenant, id);
    await handle(id);
    expect(await world.get(id)).toMatchObject({ status: 'cancelled', error_total: 1, request_counts: { total: 0 } });
  });

  it('lets a cancel during finalizing win, with all results kept', async () => {
    const batch = await start([chatLine('a')]);
    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'a')]);
    world.bus.subscribe((event) => {
      if (event.type === 'batch-change' && event.status === 'finalizing')
        void world.batches.cancelBatch(tenant, batch.id);
    });
    await handle(batch.id);
    await world.janitor.sweep();
    expect(await world.get(batch.id)).toMatchObject({
      status: 'cancelled',
      request_counts: { completed: 1, failed: 0 },
    });
  });
});

describe('Janitor and time', () => {
  it('expires what is not finished when the window closes', async () => {
    const batch = await start([groupedLine('a', 'x'), groupedLine('b', 'y')], { completionWindow: '1h' });
    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'a')]);
    world.clock.advance(3_600_000);
    await world.janitor.sweep();
    expect(await world.get(batch.id)).toMatchObject({ status: 'expired', request_counts: { completed: 1, failed: 1 } });
    expect((await world.readResults(batch.id)).errors).toMatchObject([
      { custom_id: 'b', error: { code: 'batch_expired' } },
    ]);
  });

  it('completes a batch that was finished in time, however late it looks', async () => {
    const batch = await start([chatLine('a')], { completionWindow: '1h' });
    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'a')]);
    world.clock.advance(9_000_000);
    await world.janitor.sweep();
    expect((await world.get(batch.id)).status).toBe('completed');
  });

  it('expires a batch that was never looked at, with an error line each', async () => {
    const { id } = await world.createBatch([chatLine('a'), chatLine('b')], { completionWindow: '1h' });
    world.clock.advance(3_600_000);
    await world.janitor.sweep();
    expect(await world.get(id)).toMatchObject({ status: 'expired', request_counts: { total: 2, failed: 2 } });
  });

  it('looks at a batch of many units at most once a second', async () => {
    const lines = Array.from({ length: 9 }, (_, index) => groupedLine(`c${index}`, String.fromCharCode(97 + index)));
    const batch = await start(lines);
    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'c0')]);
    await handle(batch.id);
    expect((await world.get(batch.id)).request_counts.completed).toBe(0);
    world.clock.advance(1_000);
    await handle(batch.id);
    expect((await world.get(batch.id)).request_counts.completed).toBe(1);
    for (let unit = 1; unit < 9; unit++) await world.runUnit(batch.id, `u00000${unit}`, [resultOf(unit, `c${unit}`)]);
    world.clock.advance(1_000);
    await handle(batch.id);
    expect(await world.get(batch.id)).toMatchObject({ status: 'completed', request_counts: { completed: 9 } });
  });
});

describe('Janitor and trouble', () => {
  it('does not let one damaged batch stop the others', async () => {
    const bad = await world.createBatch([chatLine('a')]);
    const good = await world.createBatch([chatLine('b')]);
    await world.store.put(keys.batch(tenant, bad.id), Buffer.from('{"version":9}'));
    await world.janitor.sweep();
    expect((await world.get(good.id)).status).toBe('in_progress');
  });

  it('keeps a batch with a damaged log until its time is over, then fails it', async () => {
    const batch = await start([chatLine('a')], { completionWindow: '1h' });
    await world.store.put(keys.unitSlot(tenant, batch.id, 'u000000', 0), Buffer.from('{"version":1}'));
    await expect(handle(batch.id)).rejects.toMatchObject({ code: 'corrupt.record' });
    expect((await world.get(batch.id)).status).toBe('in_progress');
    world.clock.advance(3_600_000);
    await handle(batch.id);
    expect(await world.get(batch.id)).toMatchObject({ status: 'failed', request_counts: { total: 1, failed: 1 } });
  });

  it('keeps a batch written by a newer program, also when its time is over', async () => {
    const batch = await start([chatLine('a')], { completionWindow: '1h' });
    await world.store.put(keys.unitSlot(tenant, batch.id, 'u000000', 0), Buffer.from('{"version":2}'));
    world.clock.advance(3_600_000);
    await expect(handle(batch.id)).rejects.toMatchObject({ code: 'corrupt.version' });
    expect((await world.get(batch.id)).status).toBe('in_progress');
  });

  it('sweeps the marker of a create that died, an hour later', async () => {
    await world.store.put(keys.open('batch_dead'), Buffer.from(JSON.stringify({ version: 1, tenant })));
    await world.janitor.sweep();
    expect(await markers()).toBe(1);
    world.clock.advance(3_600_000);
    await world.janitor.sweep();
    expect(await markers()).toBe(0);
  });

  it('gets the same end from two janitors at once', async () => {
    const batch = await start([chatLine('a'), chatLine('b')]);
    await world.runUnit(batch.id, 'u000000', [resultOf(0, 'a'), resultOf(1, 'b', 'failed')]);
    const other = world.newJanitor();
    await Promise.all([handle(batch.id), other.handle(tenant, batch.id), handle(batch.id), other.sweep()]);
    expect(await world.get(batch.id)).toMatchObject({
      status: 'completed',
      request_counts: { completed: 1, failed: 1 },
    });
    const { output, errors } = await world.readResults(batch.id);
    expect([output.length, errors.length]).toEqual([1, 1]);
  });

  it('runs until it is told to stop', async () => {
    const { id } = await world.createBatch([chatLine('a')]);
    const stop = new AbortController();
    world.bus.subscribe(() => stop.abort());
    await world.janitor.run(stop.signal);
    expect((await world.get(id)).status).toBe('in_progress');
  });
});
