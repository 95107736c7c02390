import { describe, expect, it, vi } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { AppError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/log.ts';
import {
  CheckpointStore,
  openUnitLog,
  runUnit,
  type UnitLineTask,
  type UnitRunnerDeps,
} from '../../../src/batch/index.ts';
import type { Line } from '../../../src/batch/records.schema.ts';
import { keys, MemoryObjectStore } from '../../../src/storage/index.ts';

const batchId = 'batch_000000000000000000000001';
const unitId = 'u000000';

const linesOf = (total: number): Line[] =>
  Array.from({ length: total }, (_, index) => ({ index, custom_id: `line-${index}`, url: '/v1/analyses', body: {} }));

/** A clock that stands still unless the test moves it; sleeps end only by abort. */
class StillClock implements Clock {
  ms = 0;
  nowMs(): number {
    return this.ms;
  }
  sleep(_ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason), { once: true }));
  }
}

function setUp(total: number, runLine: (task: UnitLineTask) => Promise<{ statusCode: number; body: object }>) {
  const store = new MemoryObjectStore();
  const clock = new StillClock();
  const lines = linesOf(total);
  const build = (): UnitRunnerDeps => ({
    log: openUnitLog(store, 'default', batchId, unitId),
    checkpoints: new CheckpointStore(store, 'default', batchId, unitId),
    askCheckpoints: async () => {},
    readHeard: async () => new Map<string, number>(),
    logger: silentLogger,
    lines,
    unit: { id: unitId, shared_prefix: null, lines: lines.map(({ index }) => ({ index, seed: index * 10 })) },
    owner: 'test',
    batchId,
    lineConcurrency: 2,
    runLine: async (task) => {
      const { statusCode, body } = await runLine(task);
      return { statusCode, body: { ...body } };
    },
    onSegment: () => {},
    onCheckpointLost: () => {},
    clock,
  });
  const readLog = () => openUnitLog(store, 'default', batchId, unitId).fold();
  return { store, clock, build, readLog };
}

const never = new AbortController().signal;
const ok = async (): Promise<{ statusCode: number; body: object }> => ({ statusCode: 200, body: {} });

describe('runUnit', () => {
  it('begins the next line while the result of the last one is being stored', async () => {
    const begun: number[] = [];
    const { store, clock, build, readLog } = setUp(6, async ({ line }) => {
      begun.push(line.index);
      // a second behind the claim the first result is due
      clock.ms = 2_000;
      return ok();
    });
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const create = store.create.bind(store);
    store.create = async (key, ...rest) => {
      if (key === keys.unitSlot('default', batchId, unitId, 1)) await held;
      return create(key, ...rest);
    };
    const run = runUnit(build(), never);
    await vi.waitFor(() => expect(begun).toHaveLength(6));
    expect((await readLog()).results.size).toBe(0);
    release();
    await run;
    expect((await readLog()).sealed).toBe('done');
  });

  it('lets the first line begin alone, and say so, after owners that ended without a word', async () => {
    const asked: [number, boolean][] = [];
    const { store, build, readLog } = setUp(3, async ({ line, beginAlone }) => {
      asked.push([line.index, beginAlone !== null]);
      await beginAlone?.();
      return ok();
    });
    for (const owner of ['a', 'b']) await openUnitLog(store, 'default', batchId, unitId).claim(owner);
    await runUnit(build(), never);
    // its result is progress, so the others are no suspects
    expect(asked).toEqual([
      [0, true],
      [1, false],
      [2, false],
    ]);
    expect((await readLog()).sealed).toBe('done');
    const body = (await store.get(keys.unitSlot('default', batchId, unitId, 3)))?.body;
    expect(JSON.parse(Buffer.from(body ?? []).toString())).toMatchObject({ type: 'segment', results: [], alone: 0 });
  });

  it('runs every line once with its planned seed, then seals', async () => {
    const seen: [number, number][] = [];
    const { build, readLog } = setUp(5, async ({ line, seed }) => {
      seen.push([line.index, seed]);
      return ok();
    });
    await runUnit(build(), never);
    expect(seen.sort()).toEqual([
      [0, 0],
      [1, 10],
      [2, 20],
      [3, 30],
      [4, 40],
    ]);
    const log = await readLog();
    expect(log.sealed).toBe('done');
    expect([...log.results.keys()].sort()).toEqual([0, 1, 2, 3, 4]);
  });

  it('runs only what is left after another worker died', async () => {
    let stopAfter = 2;
    const ran: number[] = [];
    const { build, readLog, clock } = setUp(6, async ({ line }) => {
      clock.ms += 2_000;
      if (stopAfter-- === 0) throw new AppError('transient.store-error', 'the worker lost its store');
      ran.push(line.index);
      return ok();
    });
    await expect(runUnit(build(), never)).rejects.toMatchObject({ code: 'transient.store-error' });
    const first = [...ran];
    stopAfter = Number.POSITIVE_INFINITY;
    await runUnit(build(), never);
    expect(first.length).toBeGreaterThanOrEqual(2);
    expect([...ran].sort()).toEqual([0, 1, 2, 3, 4, 5]);
    expect((await readLog()).sealed).toBe('done');
  });

  it('writes nothing once another worker has claimed the unit', async () => {
    const { build, readLog, store } = setUp(1, async () => {
      await openUnitLog(store, 'default', batchId, unitId).claim('another');
      return ok();
    });
    await expect(runUnit(build(), never)).rejects.toMatchObject({ code: 'ownership.lost' });
    const log = await readLog();
    expect(log.results.size).toBe(0);
    expect(log.sealed).toBeNull();
  });

  it('does nothing for a sealed unit', async () => {
    let runs = 0;
    const { build, store } = setUp(2, async () => {
      runs++;
      return ok();
    });
    await openUnitLog(store, 'default', batchId, unitId).seal('cancelled');
    await runUnit(build(), never);
    expect(runs).toBe(0);
  });

  it('keeps finished lines when it is told to stop', async () => {
    const stop = new AbortController();
    const { build, readLog } = setUp(4, async ({ line, signal }) => {
      if (line.index < 2) return ok();
      stop.abort(new AppError('cancelled.shutdown', 'stopping'));
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    await expect(runUnit(build(), stop.signal)).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    const log = await readLog();
    expect([...log.results.keys()].sort()).toEqual([0, 1]);
    expect(log.sealed).toBeNull();
  });

  it('writes at most one segment a second, and one for 64 lines', async () => {
    const { build, store } = setUp(130, ok);
    await runUnit(build(), never);
    const { objects } = await store.list(`v1/default/batches/${batchId}/units/`);
    // claim, the first line at once, two full segments, the rest, seal
    expect(objects.length).toBeLessThanOrEqual(6);
  });

  it('marks lines of status 400 and more as failed', async () => {
    const { build, readLog } = setUp(1, async () => ({ statusCode: 400, body: { error: {} } }));
    await runUnit(build(), never);
    expect((await readLog()).results.get(0)?.outcome).toBe('failed');
  });
});
