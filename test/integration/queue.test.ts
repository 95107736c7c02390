import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import {
  type Consumer,
  type EventBus,
  type JobHandler,
  openControlConsumer,
  openEventBus,
  openStalledWatch,
  openUnitConsumer,
  openWorkQueue,
  type QuireEvent,
  type UnitJob,
  type WorkQueue,
} from '../../src/queue/index.ts';
import { openPrivateRedis, type PrivateRedis } from '../support/private-redis.ts';

let redis: PrivateRedis;
let queue: WorkQueue;
const opened: { stop(): Promise<unknown> }[] = [];
let unitTotal = 0;

beforeAll(async () => {
  redis = await openPrivateRedis();
});
afterAll(() => redis.close());
beforeEach(() => {
  queue = openWorkQueue({ redisUrl: redis.url, log: silentLogger });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.stop()));
  await queue.close();
});

/** A unit nobody else uses: the queue is shared by all tests of the file. */
function newJob(): UnitJob {
  unitTotal += 1;
  return { version: 1, tenant: 'default', batchId: 'batch_test', unitId: `u${String(unitTotal).padStart(6, '0')}` };
}

function consume(handler: JobHandler<UnitJob>, options: { concurrency?: number; stalledMs?: number } = {}): Consumer {
  const consumer = openUnitConsumer(
    { redisUrl: redis.url, log: silentLogger, concurrency: 4, lockMs: 1_000, stalledMs: 300, ...options },
    handler,
  );
  opened.push({ stop: () => consumer.stop(0) });
  return consumer;
}

async function until(isTrue: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000): Promise<void> {
  const endMs = Date.now() + timeoutMs;
  while (!(await isTrue())) {
    if (Date.now() > endMs) throw new Error(`not in ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('WorkQueue', () => {
  it('adds a unit once an epoch, and knows it until it is done', async () => {
    const job = newJob();
    await queue.addUnit(job, 0, 'batch');
    await queue.addUnit(job, 0, 'batch');
    expect(await queue.hasUnit(job, 0)).toBe(true);
    expect(await queue.hasUnit(job, 1)).toBe(false);
    const seen: UnitJob[] = [];
    consume(async (one) => void seen.push(one));
    await until(async () => !(await queue.hasUnit(job, 0)), 'job is removed');
    expect(seen).toEqual([job]);
    await queue.addUnit(job, 0, 'batch');
    await until(() => seen.length === 2, 'a removed job can be added again');
  });

  it('serves interactive units before batch units', async () => {
    const [first, second, urgent] = [newJob(), newJob(), newJob()];
    await queue.addUnit(first, 0, 'batch');
    await queue.addUnit(second, 0, 'batch');
    await queue.addUnit(urgent, 0, 'interactive');
    expect(await queue.counts()).toEqual({ waiting: 3, active: 0, delayed: 0 });
    const order: string[] = [];
    consume(async ({ unitId }) => void order.push(unitId), { concurrency: 1 });
    await until(() => order.length === 3, 'all are served');
    expect(order).toEqual([urgent.unitId, first.unitId, second.unitId]);
  });

  it('delivers hints to the janitor', async () => {
    const seen: string[] = [];
    const consumer = openControlConsumer({ redisUrl: redis.url, log: silentLogger }, async (job) => {
      seen.push(job.batchId);
    });
    opened.push({ stop: () => consumer.stop(1_000) });
    await queue.addControl({ version: 1, tenant: 'default', batchId: 'batch_a' });
    await queue.addControl({ version: 1, tenant: 'default', batchId: 'batch_a' });
    await until(() => seen.length === 2, 'both hints');
    expect(seen).toEqual(['batch_a', 'batch_a']);
  });

  it('refuses a wrong password by name', async () => {
    const wrong = openWorkQueue({ redisUrl: `redis://:wrong@127.0.0.1:${redis.port}`, log: silentLogger });
    await expect(wrong.ping()).rejects.toMatchObject({ code: 'transient.queue-unreachable' });
    await wrong.close();
  });
});

describe('Consumer', () => {
  it('tries a transient failure again', async () => {
    const job = newJob();
    let tries = 0;
    consume(async () => {
      tries += 1;
      if (tries < 3) throw new AppError('transient.store-error', 'store is away');
    });
    await queue.addUnit(job, 0, 'batch');
    await until(async () => !(await queue.hasUnit(job, 0)), 'job is done');
    expect(tries).toBe(3);
  });

  it.each(['input.invalid-request', 'corrupt.record', 'bug.invariant', 'ownership.lost', 'cancelled.by-user'] as const)(
    'ends a job after %s',
    async (code) => {
      const job = newJob();
      let tries = 0;
      consume(async () => {
        tries += 1;
        throw new AppError(code, 'no use to try again');
      });
      await queue.addUnit(job, 0, 'batch');
      await until(async () => tries > 0 && !(await queue.hasUnit(job, 0)), 'job is removed');
      expect(tries).toBe(1);
    },
  );

  it('puts a job off while there is no capacity', async () => {
    const job = newJob();
    const startedMs: number[] = [];
    consume(async () => {
      startedMs.push(Date.now());
      if (startedMs.length === 1) throw new AppError('capacity.engine-busy', 'no room', { retryAfterMs: 300 });
    });
    await queue.addUnit(job, 0, 'batch');
    await until(() => startedMs.length === 2, 'second try');
    const [first = 0, second = 0] = startedMs;
    expect(second - first).toBeGreaterThanOrEqual(290);
  });

  it('gives jobs back at once when it is shut down, for another worker to run', async () => {
    const job = newJob();
    let reason: unknown;
    const leaving = consume(async (_job, { signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      reason = signal.reason;
      throw signal.reason;
    });
    await queue.addUnit(job, 0, 'batch');
    await until(async () => (await queue.counts()).active === 1, 'job runs');
    const startMs = Date.now();
    await leaving.stop(50);
    expect(reason).toMatchObject({ code: 'cancelled.shutdown' });
    let isDone = false;
    consume(async () => {
      isDone = true;
    });
    await until(() => isDone, 'another worker has it');
    // the lock alone would have kept it for a second, and the stalled check for longer
    expect(Date.now() - startMs).toBeLessThan(900);
  });

  it('lets running jobs end within the grace', async () => {
    const job = newJob();
    let isDone = false;
    const leaving = consume(async (_job, { signal }) => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      isDone = !signal.aborted;
    });
    await queue.addUnit(job, 0, 'batch');
    await until(async () => (await queue.counts()).active === 1, 'job runs');
    await leaving.stop(5_000);
    expect(isDone).toBe(true);
    expect(await queue.hasUnit(job, 0)).toBe(false);
  });

  it('gives the job of a killed worker to another, again and again', async () => {
    const job = newJob();
    await queue.addUnit(job, 0, 'batch');
    const entry = fileURLToPath(new URL('../support/hanging-worker.ts', import.meta.url));
    for (let death = 1; death <= 3; death++) {
      const child = fork(entry, [redis.url], { execArgv: ['--import', 'tsx'] });
      await once(child, 'message');
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    let isDone = false;
    consume(async () => {
      isDone = true;
    });
    await until(() => isDone, 'a living worker has it');
  }, 60_000);

  it('finds the job of a killed worker waiting when nobody but the watch was there', async () => {
    const job = newJob();
    await queue.addUnit(job, 0, 'batch');
    const entry = fileURLToPath(new URL('../support/hanging-worker.ts', import.meta.url));
    const watch = openStalledWatch({ redisUrl: redis.url, log: silentLogger, stalledMs: 300 });
    opened.push(watch);
    // more deaths than BullMQ alone forgives
    for (let death = 1; death <= 3; death++) {
      const child = fork(entry, [redis.url], { execArgv: ['--import', 'tsx'] });
      await once(child, 'message');
      expect(await queue.counts()).toMatchObject({ active: 1, waiting: 0 });
      child.kill('SIGKILL');
      await once(child, 'exit');
      await until(async () => (await queue.counts()).waiting === 1, 'job waits for a worker');
    }
    let isDone = false;
    // one that looks for no dead worker's job itself
    consume(
      async () => {
        isDone = true;
      },
      { stalledMs: 60_000 },
    );
    await until(() => isDone, 'the next worker has it');
  }, 60_000);

  it('aborts the signal of a job whose lock is lost', async () => {
    const job = newJob();
    const reasons: unknown[] = [];
    let tries = 0;
    consume(async (_job, { signal }) => {
      tries += 1;
      if (tries > 1) return;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      reasons.push(signal.reason);
      throw signal.reason;
    });
    await queue.addUnit(job, 0, 'batch');
    await until(() => tries === 1, 'job runs');
    const raw = new Redis(redis.url);
    await raw.del(`bull:quire-units:${job.batchId}.${job.unitId}.0:lock`);
    raw.disconnect();
    await until(() => reasons.length === 1, 'signal aborts');
    expect(reasons[0]).toMatchObject({ code: 'ownership.lost' });
    await until(async () => !(await queue.hasUnit(job, 0)), 'job ends');
  });
});

describe('EventBus', () => {
  let bus: EventBus;
  let other: EventBus;
  beforeEach(() => {
    bus = openEventBus({ redisUrl: redis.url, log: silentLogger });
    other = openEventBus({ redisUrl: redis.url, log: silentLogger });
    opened.push({ stop: () => bus.close() }, { stop: () => other.close() });
  });

  it('carries events to every process until it unsubscribes', async () => {
    const seen: QuireEvent[] = [];
    const event: QuireEvent = { type: 'batch-change', batchId: 'batch_a', status: 'completed' };
    const unsubscribe = other.subscribe((one) => seen.push(one));
    await until(async () => {
      await bus.publish(event);
      return seen.length > 0;
    }, 'event arrives');
    expect(seen[0]).toEqual(event);
    unsubscribe();
    const total = seen.length;
    await bus.publish(event);
    await bus.publish(event);
    expect(seen).toHaveLength(total);
  });

  it('keeps progress of a unit until it is cleared, and hides what is old', async () => {
    const progress = {
      unitId: 'u000000',
      customId: 'a',
      step: 'prefill',
      promptTokens: 10,
      prefilledTokens: 5,
      completionTokens: 0,
      atMs: Date.now(),
    } as const;
    await bus.saveProgress('batch_p', progress);
    await bus.saveProgress('batch_p', { ...progress, unitId: 'u000001', atMs: Date.now() - 120_000 });
    expect(await other.readProgress('batch_p')).toEqual([progress]);
    await bus.clearProgress('batch_p', 'u000000');
    expect(await other.readProgress('batch_p')).toEqual([]);
  });

  it('keeps the figures of engines while their workers speak', async () => {
    await bus.saveEngineStats('host/1', { running: 1, blocks: { free: 3 } });
    await bus.saveEngineStats('host/2', { running: 2 });
    await bus.saveEngineStats('host/1', { running: 4, blocks: { free: 2 } });
    const client = new Redis(redis.url);
    try {
      expect(await client.pttl('quire:engine:host/1')).toBeGreaterThan(10_000);
      const reports = [
        { workerId: 'host/1', stats: { running: 4, blocks: { free: 2 } } },
        { workerId: 'host/2', stats: { running: 2 } },
      ];
      expect((await other.readEngineStats()).toSorted((a, b) => (a.workerId < b.workerId ? -1 : 1))).toEqual(reports);
      // the silence of a dead worker, and somebody else's bytes
      await client.pexpire('quire:engine:host/1', 1);
      await client.set('quire:engine:host/3', 'no json', 'PX', 10_000);
      await client.sadd('quire:engines', 'host/3');
      await until(async () => (await client.exists('quire:engine:host/1')) === 0, 'the figures expire');
      expect(await other.readEngineStats()).toEqual([{ workerId: 'host/2', stats: { running: 2 } }]);
      expect((await client.smembers('quire:engines')).toSorted()).toEqual(['host/2', 'host/3']);
    } finally {
      client.disconnect();
    }
  });
});

describe('Redis that goes away and comes back', () => {
  it('fails calls at once while it is gone, and goes on with everything when it is back', async () => {
    const bus = openEventBus({ redisUrl: redis.url, log: silentLogger });
    opened.push({ stop: () => bus.close() });
    const events: QuireEvent[] = [];
    bus.subscribe((event) => events.push(event));
    const done: string[] = [];
    consume(async ({ unitId }) => void done.push(unitId));
    const before = newJob();
    await queue.addUnit(before, 0, 'batch');
    await until(() => done.length === 1, 'first job');

    await redis.kill();
    await until(async () => {
      const startMs = Date.now();
      const failed = await queue.addUnit(newJob(), 0, 'batch').then(
        () => null,
        (error: unknown) => error,
      );
      expect(failed).toMatchObject({ code: 'transient.queue-unreachable' });
      return Date.now() - startMs < 100;
    }, 'calls fail at once');
    await bus.publish({ type: 'batch-cancel', batchId: 'batch_lost' });
    await expect(bus.readProgress('batch_lost')).rejects.toMatchObject({ code: 'transient.queue-unreachable' });

    await redis.start();
    const after = newJob();
    await until(
      () =>
        queue.addUnit(after, 0, 'batch').then(
          () => true,
          () => false,
        ),
      'queue takes jobs again',
    );
    await until(() => done.includes(after.unitId), 'worker runs jobs again');
    await until(async () => {
      await bus.publish({ type: 'batch-cancel', batchId: 'batch_back' });
      return events.some(({ batchId }) => batchId === 'batch_back');
    }, 'events arrive again');
    expect(events.some(({ batchId }) => batchId === 'batch_lost')).toBe(false);
  }, 30_000);

  it('finishes a job that runs through the outage without running it twice', async () => {
    const job = newJob();
    let runs = 0;
    const gate: { open: () => void } = { open: () => {} };
    const opened_ = new Promise<void>((resolve) => {
      gate.open = resolve;
    });
    consume(async () => {
      runs += 1;
      await opened_;
    });
    await queue.addUnit(job, 0, 'batch');
    await until(() => runs === 1, 'job runs');
    await redis.kill();
    await redis.start();
    gate.open();
    await until(
      () =>
        queue.hasUnit(job, 0).then(
          (has) => !has,
          () => false,
        ),
      'job is removed',
      20_000,
    );
    expect(runs).toBe(1);
  }, 30_000);

  it('opens everything while Redis is away, and works when it is there', async () => {
    await redis.kill();
    const early = openWorkQueue({ redisUrl: redis.url, log: silentLogger });
    const done: string[] = [];
    consume(async ({ unitId }) => void done.push(unitId));
    await expect(early.ping()).rejects.toMatchObject({ code: 'transient.queue-unreachable' });
    await redis.start();
    const job = newJob();
    await until(
      () =>
        early.addUnit(job, 0, 'batch').then(
          () => true,
          () => false,
        ),
      'queue takes jobs',
    );
    await until(() => done.includes(job.unitId), 'worker runs jobs');
    await early.close();
  }, 30_000);
});

describe('Redis that is gone or hangs for good', () => {
  it('lets everything close', async () => {
    const bus = openEventBus({ redisUrl: redis.url, log: silentLogger });
    const consumer = openUnitConsumer({ redisUrl: redis.url, log: silentLogger, concurrency: 1 }, async () => {});
    await queue.ping();
    await redis.kill();
    const startMs = Date.now();
    await Promise.all([consumer.stop(500), bus.close(), queue.close()]);
    expect(Date.now() - startMs).toBeLessThan(8_000);
    await redis.start();
  }, 30_000);

  it('fails calls by name when the server accepts and says nothing', async () => {
    await queue.ping();
    redis.freeze();
    await expect(queue.addUnit(newJob(), 0, 'batch')).rejects.toMatchObject({ code: 'transient.queue-unreachable' });
    redis.thaw();
    await until(
      () =>
        queue.ping().then(
          () => true,
          () => false,
        ),
      'server answers again',
    );
  }, 30_000);
});
