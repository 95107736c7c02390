import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Janitor } from '../../../src/batch/index.ts';
import type { BatchRecord } from '../../../src/batch/records.schema.ts';
import { openUnitLog } from '../../../src/batch/unit-log.ts';
import { keys, prefixes } from '../../../src/storage/index.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { chatLine, groupedLine, ManualClock, resultOf, tenant, World } from './batch-world.ts';

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

  it('sets a line aside whose workers end while it runs alone, with the evidence; the rest of its unit goes on', async () => {
    const batch = await start([chatLine('a'), chatLine('b'), chatLine('c')]);
    await openUnitLog(world.store, tenant, batch.id, 'u000000').claim('w0');
    await world.runPart(batch.id, 'u000000', [resultOf(0, 'a')]);
    for (const owner of ['w1', 'w2', 'w3', 'w4', 'w5']) {
      const log = openUnitLog(world.store, tenant, batch.id, 'u000000');
      await log.claim(owner);
      // as the unit runner does from the third on
      if (log.state.stuckClaims > 2) await log.noteAlone(1);
      world.clock.advance(7_000);
      await world.janitor.sweep();
    }
    // the fifth may still be at work
    expect((await world.get(batch.id)).request_counts).toMatchObject({ completed: 1, failed: 0 });
    const sixth = openUnitLog(world.store, tenant, batch.id, 'u000000');
    await sixth.claim('w6');
    dropJobs();
    world.clock.advance(7_000);
    await world.janitor.sweep();
    expect((await world.get(batch.id)).request_counts).toMatchObject({ completed: 1, failed: 1 });
    await expect(sixth.append([resultOf(1, 'b')])).rejects.toMatchObject({ code: 'ownership.lost' });
    expect(jobs()).toHaveLength(1);
    await world.runUnit(batch.id, 'u000000', [resultOf(2, 'c')]);
    world.clock.advance(2_000);
    await world.janitor.sweep();
    expect(await world.get(batch.id)).toMatchObject({
      status: 'completed',
      request_counts: { total: 3, completed: 2, failed: 1 },
    });
    const [line] = (await world.readResults(batch.id)).errors;
    expect(line).toMatchObject({
      custom_id: 'b',
      error: {
        code: 'line_quarantined',
        ext: { evidence: ['w3', 'w4', 'w5'].map((owner) => ({ owner, ended: expect.stringContaining('without') })) },
      },
    });
  });

  it('ends a unit whose workers die between their last result and its seal', async () => {
    const batch = await start([chatLine('a')]);
    await world.runPart(batch.id, 'u000000', [resultOf(0, 'a')]);
    for (let owner = 0; owner < 6; owner++) {
      await openUnitLog(world.store, tenant, batch.id, 'u000000').claim(`w${owner}`);
    }
    world.clock.advance(2_000);
    await world.janitor.sweep();
    expect(await world.get(batch.id)).toMatchObject({ status: 'completed', request_counts: { completed: 1 } });
  });

  it('blames no line for a worker that is refused again and again and lives on', async () => {
    const batch = await start([chatLine('a')]);
    for (let turn = 0; turn < 40; turn++) {
      await openUnitLog(world.store, tenant, batch.id, 'u000000').claim('w');
      world.clock.advance(2_000);
      await world.janitor.sweep();
    }
    expect((await world.get(batch.id)).request_counts).toMatchObject({ completed: 0, failed: 0 });
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

describe('Janitor and clocks that jump', () => {
  /** A janitor whose machine's time is its own; the store keeps the right one. */
  const withClock = (aheadMs: number): [ManualClock, Janitor] => {
    const clock = new ManualClock();
    clock.advance(aheadMs);
    return [clock, world.newJanitor({ clock })];
  };

  it('expires nothing early when its own clock is ahead', async () => {
    const batch = await start([chatLine('a')], { completionWindow: '1h' });
    const [clock, janitor] = withClock(30 * 86_400_000);
    await janitor.sweep();
    expect((await world.get(batch.id)).status).toBe('in_progress');
    await world.batches.openFileContent(tenant, batch.input_file_id);
    for (const each of [clock, world.clock]) each.advance(3_600_000);
    await janitor.sweep();
    expect((await world.get(batch.id)).status).toBe('expired');
  });

  it('expires in time when its own clock is behind', async () => {
    const batch = await start([chatLine('a')], { completionWindow: '1h' });
    const [, janitor] = withClock(-30 * 86_400_000);
    world.clock.advance(3_600_000);
    await janitor.sweep();
    expect((await world.get(batch.id)).status).toBe('expired');
  });

  it('lets the seal win over a worker that is alive and holds the unit', async () => {
    const batch = await start([chatLine('a'), chatLine('b')], { completionWindow: '1h' });
    const worker = openUnitLog(world.store, tenant, batch.id, 'u000000');
    await worker.claim('w');
    await worker.append([resultOf(0, 'a')]);
    world.clock.advance(3_600_000);
    await world.janitor.sweep();
    await expect(worker.append([resultOf(1, 'b')])).rejects.toMatchObject({ code: 'ownership.lost' });
    expect(await world.get(batch.id)).toMatchObject({ status: 'expired', request_counts: { completed: 1, failed: 1 } });
  });
});

describe('Janitor and work that takes long', () => {
  it('sees a cancel within one sweep while result files of others are written', async () => {
    const slow = await Promise.all([1, 2, 3].map(() => start([chatLine('a')])));
    for (const { id } of slow) await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
    // the store takes no result file until the test says so
    let letGo = (): void => {};
    const stuck = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const putStream = world.store.putStream.bind(world.store);
    world.store.putStream = async (...args) => {
      if (args[0].endsWith('output.jsonl')) await stuck;
      return putStream(...args);
    };
    const other = await start([chatLine('b')]);
    await world.batches.cancelBatch(tenant, other.id);
    const stop = new AbortController();
    // its time stands still, so there is one sweep
    const running = world.newJanitor({ clock: new HandClock() }).run(stop.signal);
    await vi.waitFor(async () => {
      const { sealed } = await openUnitLog(world.store, tenant, other.id, 'u000000').fold();
      expect(sealed).toBe('cancelled');
    });
    stop.abort();
    letGo();
    await running;
    for (const { id } of slow) expect((await world.get(id)).status).toBe('completed');
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
    await world.newJanitor({ clock: new HandClock() }).run(stop.signal);
    expect((await world.get(id)).status).toBe('in_progress');
  });
});
