import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import {
  CheckpointStore,
  openUnitLog,
  runUnit,
  type UnitLineTask,
  type UnitRunnerDeps,
} from '../../../src/batch/index.ts';
import type { Line } from '../../../src/batch/records.schema.ts';
import { keys, MemoryObjectStore } from '../../../src/storage/index.ts';
import { CountingObjectStore } from '../../support/counting-object-store.ts';
import { generateResult } from '../../support/generate-result.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { RecordingLogger } from '../../support/recording-logger.ts';
import { checkpointOf, runningAt } from '../../support/sample-checkpoints.ts';
import { tenant } from './batch-world.ts';

const batchId = 'batch_000000000000000000000001';
const unitId = 'u000000';
const never = new AbortController().signal;
const ok = { statusCode: 200, body: {} };

const requestOf = (line: Line): string => `${batchId}/${line.index}`;

/** Lets everything that does not wait for the clock happen. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
};

/** A unit on a store that counts, and lines that do what the test says when it says so. */
class UnitWorld {
  readonly memory = new MemoryObjectStore();
  readonly store = new CountingObjectStore(this.memory);
  readonly clock = new HandClock();
  readonly logger = new RecordingLogger();
  readonly tasks = new Map<number, UnitLineTask & { end(): void; fail(error: Error): void }>();
  readonly asked: (readonly string[])[] = [];
  heard = new Map<string, number>();
  lostTotal = 0;
  onAsk = (_ids: readonly string[]): void | Promise<void> => {};
  readonly #lines: readonly Line[];

  constructor(lineTotal: number) {
    this.#lines = Array.from({ length: lineTotal }, (_, index) => ({
      index,
      custom_id: `line-${index}`,
      url: '/v1/analyses',
      body: {},
    }));
  }

  deps(more: Partial<UnitRunnerDeps> = {}): UnitRunnerDeps {
    return {
      log: openUnitLog(this.store, tenant, batchId, unitId),
      checkpoints: new CheckpointStore(this.store, tenant, batchId, unitId),
      lines: this.#lines,
      unit: { id: unitId, shared_prefix: null, lines: this.#lines.map(({ index }) => ({ index, seed: 1 })) },
      owner: 'test',
      batchId,
      lineConcurrency: 16,
      runLine: (task) =>
        new Promise((resolve, reject) => {
          task.signal.addEventListener('abort', () => reject(task.signal.reason));
          task.journal.save(requestOf(task.line), task.journal.find(requestOf(task.line)) ?? runningAt(0));
          this.tasks.set(task.line.index, { ...task, end: () => resolve(ok), fail: reject });
        }),
      askCheckpoints: async (ids) => {
        this.asked.push(ids);
        await this.onAsk(ids);
      },
      readHeard: async () => this.heard,
      onSegment: () => {},
      onCheckpointLost: () => {
        this.lostTotal += 1;
      },
      clock: this.clock,
      logger: this.logger,
      ...more,
    };
  }

  task(index: number): UnitLineTask & { end(): void; fail(error: Error): void } {
    const task = this.tasks.get(index);
    if (task === undefined) throw new Error(`line ${index} does not run`);
    return task;
  }

  /** The engine says how far a line is. */
  write(index: number, tokens: number): void {
    const { journal, line } = this.task(index);
    journal.save(requestOf(line), runningAt(tokens));
  }

  /** What the next owner would find of a line, in tokens. */
  async savedTokens(): Promise<Record<number, number>> {
    const { checkpoint } = await openUnitLog(this.memory, tenant, batchId, unitId).fold();
    if (checkpoint === null) return {};
    const lines = await new CheckpointStore(this.memory, tenant, batchId, unitId).load(checkpoint);
    return Object.fromEntries(
      lines.map(({ index, requests }) => {
        const state = requests[`${batchId}/${index}`];
        return [index, state?.type === 'running' ? (state.checkpoint?.tokenIds.length ?? 0) : -1];
      }),
    );
  }

  async blobs(): Promise<readonly string[]> {
    const { objects } = await this.memory.list(keys.unitBlobs(tenant, batchId, unitId));
    return objects.map(({ key }) => key);
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settle();
  }

  /** A first owner that wrote a checkpoint of so many tokens and was killed. */
  async leaveBehind(tokens: Readonly<Record<number, number>>): Promise<void> {
    const log = openUnitLog(this.memory, tenant, batchId, unitId);
    const epoch = await log.claim('killed');
    if (epoch === 'sealed') throw new Error('sealed');
    const lines = Object.entries(tokens).map(([index, total]) => ({
      index: Number(index),
      requests: { [`${batchId}/${index}`]: runningAt(total) },
    }));
    const name = await new CheckpointStore(this.memory, tenant, batchId, unitId).put(epoch, lines);
    if (name === 'too-large') throw new Error(name);
    await log.append([], name);
  }
}

describe('checkpoints of a unit', () => {
  it('are written once for all lines, and the lines that are not due are asked where they are', async () => {
    const world = new UnitWorld(3);
    world.onAsk = () => {
      world.write(1, 40);
      world.write(2, 50);
    };
    const run = runUnit(world.deps(), never);
    await settle();
    world.write(0, 64);
    await world.pass(1_000);
    expect(world.asked).toEqual([[0, 1, 2].map((index) => `${batchId}/${index}`)]);
    expect(await world.savedTokens()).toEqual({ 0: 64, 1: 40, 2: 50 });
    // what came because it was asked for is no reason for another one
    await world.pass(60_000);
    expect(world.asked).toHaveLength(1);
    for (const index of [0, 1, 2]) world.task(index).end();
    await run;
    expect(await world.blobs()).toEqual([]);
  });

  it('cost short lines nothing', async () => {
    const world = new UnitWorld(64);
    const run = runUnit(world.deps({ lineConcurrency: 64 }), never);
    await settle();
    // they reach their first checkpoint, and their end within the second
    for (let index = 0; index < 64; index++) world.write(index, 64);
    await world.pass(900);
    for (let index = 0; index < 64; index++) world.task(index).end();
    await settle();
    await world.pass(5_000);
    await run;
    // claim, one segment, seal
    expect(world.store.counts.byOperation).toEqual({ create: 3 });
  });

  it('come at most once a second, and leave a bounded number of objects', async () => {
    const world = new UnitWorld(1);
    const run = runUnit(world.deps(), never);
    await settle();
    let most = 0;
    for (let tokens = 1; tokens <= 200; tokens++) {
      world.write(0, tokens);
      await world.pass(100);
      most = Math.max(most, (await world.blobs()).length);
    }
    // 20 seconds
    expect(world.store.counts.byOperation.put).toBeLessThanOrEqual(20);
    expect(world.store.counts.byOperation.put).toBeGreaterThanOrEqual(15);
    expect(most).toBeLessThanOrEqual(9);
    world.task(0).end();
    await run;
    expect(await world.blobs()).toEqual([]);
  });

  it('that cannot be stored cost nothing but themselves', async () => {
    const world = new UnitWorld(1);
    const run = runUnit(world.deps(), never);
    await settle();
    world.store.plan = ({ operation }) => (operation === 'put' ? 'before' : 'none');
    world.write(0, 64);
    await world.pass(1_000);
    expect(await world.savedTokens()).toEqual({});
    expect(world.logger.lines.map(({ message }) => message)).toContain('checkpoint cannot be stored now');
    world.store.plan = () => 'none';
    await world.pass(5_000);
    expect(await world.savedTokens()).toEqual({ 0: 64 });
    world.task(0).end();
    await run;
  });

  it('of a stale owner never count, and stop it at once', async () => {
    const world = new UnitWorld(1);
    const stale = runUnit(world.deps(), never);
    const stopped = expect(stale).rejects.toMatchObject({ code: 'ownership.lost' });
    await settle();
    await world.leaveBehind({ 0: 70 });
    world.write(0, 64);
    await world.pass(1_000);
    await stopped;
    expect(await world.savedTokens()).toEqual({ 0: 70 });
    expect(await world.blobs()).toHaveLength(1);
  });

  it('that an earlier owner leaves behind after its time are swept at the end', async () => {
    const world = new UnitWorld(1);
    await world.leaveBehind({ 0: 64 });
    const run = runUnit(world.deps(), never);
    await settle();
    await world.memory.put(`${keys.unitBlobs(tenant, batchId, unitId)}${'0'.repeat(64)}`, Buffer.from('late'));
    world.task(0).end();
    await run;
    expect(await world.blobs()).toEqual([]);
  });
});

describe('the next owner of a unit', () => {
  it('goes on where the last checkpoint stands, and sweeps what no entry names', async () => {
    const world = new UnitWorld(2);
    await world.leaveBehind({ 0: 64 });
    const orphan = `${keys.unitBlobs(tenant, batchId, unitId)}${'0'.repeat(64)}`;
    await world.memory.put(orphan, Buffer.from('put, and never named'));
    world.heard = new Map([[`${batchId}/0`, 80]]);
    const run = runUnit(world.deps(), never);
    await settle();
    const { journal, line } = world.task(0);
    expect(journal.claims).toBe(2);
    expect(journal.find(requestOf(line))).toEqual(runningAt(64, { wastedTokens: 16 }));
    expect(world.task(1).journal.find(`${batchId}/1`)).toEqual(runningAt(0));
    expect(await world.blobs()).toHaveLength(1);
    for (const index of [0, 1]) world.task(index).end();
    await run;
    expect(await world.blobs()).toEqual([]);
  });

  it('counts what was heard as wasted once, however often it is asked', async () => {
    const world = new UnitWorld(1);
    await world.leaveBehind({ 0: 64 });
    world.heard = new Map([[`${batchId}/0`, 80]]);
    const run = runUnit(world.deps(), never);
    await settle();
    const { journal } = world.task(0);
    journal.save(`${batchId}/0`, runningAt(100, { wastedTokens: 16 }));
    expect(journal.find(`${batchId}/0`)).toMatchObject({ wastedTokens: 16 });
    world.task(0).end();
    await run;
  });

  it.each([
    ['is missing', async (store: MemoryObjectStore, key: string) => store.delete([key])],
    ['is damaged', async (store: MemoryObjectStore, key: string) => void (await store.put(key, Buffer.from('{}')))],
  ])('starts lines over, and says so, when the checkpoint %s', async (_how, damage) => {
    const world = new UnitWorld(1);
    await world.leaveBehind({ 0: 64 });
    const [key = ''] = await world.blobs();
    await damage(world.memory, key);
    const run = runUnit(world.deps(), never);
    await settle();
    expect(world.task(0).journal.find(`${batchId}/0`)).toEqual(runningAt(0));
    expect(world.lostTotal).toBe(1);
    expect(world.logger.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'checkpoint is lost, lines start over' }),
    );
    world.task(0).end();
    await run;
  });

  it('tries again later when the store does not answer for a checkpoint', async () => {
    const world = new UnitWorld(1);
    await world.leaveBehind({ 0: 64 });
    world.store.plan = ({ operation, key }) => (operation === 'get' && key.includes('/blobs/') ? 'before' : 'none');
    await expect(runUnit(world.deps(), never)).rejects.toMatchObject({ family: 'transient' });
    expect(await world.savedTokens()).toEqual({ 0: 64 });
  });
});

describe('a line that runs alone because owners before it ended', () => {
  it('has its first tokens saved at once, which clears it', async () => {
    const world = new UnitWorld(1);
    for (const owner of ['a', 'b']) await openUnitLog(world.memory, tenant, batchId, unitId).claim(owner);
    const run = runUnit(world.deps(), never);
    await settle();
    expect(world.task(0).beginAlone).not.toBeNull();
    await world.task(0).beginAlone?.();
    // nothing is written yet
    await world.pass(150);
    expect(await world.savedTokens()).toEqual({});
    world.onAsk = () => world.write(0, 5);
    await world.pass(150);
    expect(await world.savedTokens()).toEqual({ 0: 5 });
    expect((await openUnitLog(world.memory, tenant, batchId, unitId).fold()).stuckClaims).toBe(0);
    const asked = world.asked.length;
    await world.pass(150);
    expect(world.asked).toHaveLength(asked);
    world.task(0).end();
    await run;
  });
});

describe('a shutdown', () => {
  it.each(['cancelled.shutdown', 'cancelled.paused'] as const)(
    'asks the lines where they are, stops them, and leaves it all to the next owner: %s',
    async (code) => {
      const world = new UnitWorld(3);
      world.onAsk = () => {
        world.write(1, 33);
        world.write(2, 7);
      };
      const stop = new AbortController();
      const run = runUnit(world.deps({ lineConcurrency: 2 }), stop.signal);
      const stopped = expect(run).rejects.toMatchObject({ code });
      await settle();
      world.task(0).end();
      await settle();
      stop.abort(new AppError(code, 'somebody else goes on later'));
      await stopped;
      expect(await world.savedTokens()).toEqual({ 1: 33, 2: 7 });
      const { results, sealed } = await openUnitLog(world.memory, tenant, batchId, unitId).fold();
      expect([...results.keys()]).toEqual([0]);
      expect(sealed).toBeNull();
    },
  );

  it('does not wait for lines that say nothing', async () => {
    const world = new UnitWorld(1);
    world.onAsk = () => new Promise(() => {});
    const stop = new AbortController();
    const run = runUnit(world.deps(), stop.signal);
    const stopped = expect(run).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    await settle();
    world.write(0, 64);
    stop.abort(new AppError('cancelled.shutdown', 'the worker is shutting down'));
    await settle();
    await world.pass(2_000);
    await stopped;
    // what was known without an answer is kept all the same
    expect(await world.savedTokens()).toEqual({ 0: 64 });
  });

  it('by the failure of one line keeps what is known of the others', async () => {
    const world = new UnitWorld(2);
    const run = runUnit(world.deps(), never);
    const failed = expect(run).rejects.toMatchObject({ code: 'transient.store-error' });
    await settle();
    world.write(1, 64);
    world.task(0).fail(new AppError('transient.store-error', 'the document cannot be read now'));
    await failed;
    expect(await world.savedTokens()).toEqual({ 1: 64 });
  });

  it('is the end of all writing, also of what could not be written then', async () => {
    const world = new UnitWorld(1);
    const stop = new AbortController();
    const run = runUnit(world.deps(), stop.signal);
    const stopped = expect(run).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    await settle();
    world.write(0, 64);
    world.store.plan = ({ operation }) => (operation === 'put' ? 'before' : 'none');
    stop.abort(new AppError('cancelled.shutdown', 'the worker is shutting down'));
    await stopped;
    world.store.plan = () => 'none';
    world.store.reset();
    await world.pass(60_000);
    expect(world.store.counts.calls).toBe(0);
  });

  it('by a cancel of the batch asks nobody', async () => {
    const world = new UnitWorld(1);
    const stop = new AbortController();
    const run = runUnit(world.deps(), stop.signal);
    const stopped = expect(run).rejects.toMatchObject({ code: 'cancelled.by-user' });
    await settle();
    stop.abort(new AppError('cancelled.by-user', 'the batch was cancelled'));
    await stopped;
    expect(world.asked).toEqual([]);
  });

  it('that has come already claims nothing', async () => {
    const world = new UnitWorld(1);
    const stop = AbortSignal.abort(new AppError('cancelled.shutdown', 'the worker is shutting down'));
    await expect(runUnit(world.deps(), stop)).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    expect(world.store.counts.calls).toBe(0);
  });
});

describe('a line of several requests', () => {
  it('is kept with all of them, and an answer that is there is not asked for again', async () => {
    const world = new UnitWorld(1);
    const stop = new AbortController();
    const run = runUnit(world.deps(), stop.signal);
    const stopped = expect(run).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    await settle();
    const ended = { type: 'ended', retries: 0, resumed: null, wastedTokens: 0, result: generateResult() } as const;
    world.write(0, 64);
    world.task(0).journal.save(`${batchId}/0`, ended);
    world.task(0).journal.save(`${batchId}/0/repair`, runningAt(12, { checkpoint: checkpointOf(12) }));
    stop.abort(new AppError('cancelled.shutdown', 'the worker is shutting down'));
    await stopped;
    const next = runUnit(world.deps(), never);
    await settle();
    const { journal } = world.task(0);
    expect(journal.find(`${batchId}/0`)).toEqual(ended);
    expect(journal.find(`${batchId}/0/repair`)).toEqual(runningAt(12));
    world.task(0).end();
    await next;
  });
});
