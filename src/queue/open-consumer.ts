import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq';
import { AppError, toAppError } from '../base/errors.ts';
import { assertNever } from '../base/invariant.ts';
import { decodeControlJob, decodeUnitJob } from './decode-job.ts';
import { type ControlJob, queueNames, type UnitJob } from './messages.schema.ts';
import type { Consumer, JobHandler } from './ports.ts';
import { openPatientConnection, type RedisOptions } from './redis-connection.ts';
import { retryWaitMs } from './retry-policy.ts';
import { defaultStalledMs, maxStalledCount } from './stalled.ts';

/**
 * created → running → draining → stopped.
 *
 * C1. A job's signal aborts when its lock is lost, and when stopping has used up its grace.
 * C2. What a handler throws decides by its family what becomes of the job; see `settle`.
 * C3. Redis may go away and come back at any time: the worker goes on, and never ends the process.
 */
export interface ConsumerOptions extends RedisOptions {
  /** Jobs at the same time. */
  readonly concurrency: number;
  /** How long a dead worker keeps its jobs. @defaultValue 5,000 */
  readonly lockMs?: number;
  /** How often the jobs of dead workers are looked for. @defaultValue 2,000 */
  readonly stalledMs?: number;
}

/** Runs units. */
export function openUnitConsumer(options: ConsumerOptions, handler: JobHandler<UnitJob>): Consumer {
  return openConsumer(queueNames.units, options, (data, context) => handler(decodeUnitJob(data), context));
}

/** Batches the janitor looks at in parallel; hints for one batch are joined by the janitor itself. */
const controlConcurrency = 8;

/** Hands hints to the janitor. */
export function openControlConsumer(
  options: Omit<ConsumerOptions, 'concurrency'> & { readonly concurrency?: number },
  handler: JobHandler<ControlJob>,
): Consumer {
  return openConsumer(queueNames.control, { concurrency: controlConcurrency, ...options }, (data, context) =>
    handler(decodeControlJob(data), context),
  );
}

const defaultLockMs = 5_000;
/** Pause before a failed fetch or a failed settling is tried again: short, since both mean Redis was away. */
const runRetryMs = 1_000;
/** Time for aborted handlers to write what they have and give their jobs back. */
const forceMs = 4_000;
/** Time to say goodbye when nothing runs: it takes longer only while Redis is away. */
const farewellMs = 500;

function openConsumer(name: string, options: ConsumerOptions, run: JobHandler<unknown>): Consumer {
  const { log, concurrency, lockMs = defaultLockMs, stalledMs = defaultStalledMs } = options;
  const redis = openPatientConnection(options, name);
  const running = new Map<string, AbortController>();

  const process = async (job: Job, token: string | undefined): Promise<void> => {
    const jobId = job.id ?? '';
    const controller = new AbortController();
    running.set(jobId, controller);
    try {
      await run(job.data, { jobId, signal: controller.signal });
    } catch (error) {
      log.info({ jobId, err: toAppError(error) }, 'job did not finish');
      await settle(job, token, error);
    } finally {
      // a job whose lock was lost may run here again before its first run has ended
      if (running.get(jobId) === controller) running.delete(jobId);
    }
  };

  const worker = new Worker(name, process, {
    connection: redis,
    concurrency,
    lockDuration: lockMs,
    stalledInterval: stalledMs,
    maxStalledCount,
    runRetryDelay: runRetryMs,
    settings: { backoffStrategy: (attemptsMade) => retryWaitMs(attemptsMade) },
  });
  worker.on('error', (err) => log.debug({ err: err.message, queue: name }, 'worker error'));
  worker.on('stalled', (jobId) => log.warn({ jobId }, 'job of a dead worker is given to another'));
  worker.on('lockRenewalFailed', (jobIds) => {
    for (const jobId of jobIds) {
      running.get(jobId)?.abort(new AppError('ownership.lost', `the lock of job ${jobId} is lost`));
    }
  });

  return {
    stop: async (graceMs) => {
      const closed = worker.close();
      // without jobs and without Redis there is nothing to wait for
      const isIdle = running.size === 0 && redis.status !== 'ready';
      if (!(await within(closed, isIdle ? 0 : graceMs))) {
        const reason = new AppError('cancelled.shutdown', 'the worker is shutting down');
        for (const controller of running.values()) controller.abort(reason);
        const isEnded = await within(closed, running.size > 0 ? forceMs : farewellMs);
        if (!isEnded && running.size > 0) log.warn({ jobs: running.size }, 'jobs left to their locks');
      }
      redis.disconnect();
    },
  };
}

/** Did it settle in time? */
async function within(done: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const settled = done.then(
    () => true,
    () => true,
  );
  const isSettled = await Promise.race([settled, late]);
  clearTimeout(timer);
  return isSettled;
}

const busyWaitMs = 500;

/**
 * | family | the job |
 * |---|---|
 * | transient | is tried again after a wait, an attempt less |
 * | capacity | waits, without losing an attempt |
 * | ownership | ends quietly: it belongs to somebody else |
 * | cancelled | by shutdown: goes back to the queue at once; by a user: ends quietly |
 * | input, corrupt, bug | ends: trying again would give the same |
 */
async function settle(job: Job, token: string | undefined, thrown: unknown): Promise<void> {
  const error = toAppError(thrown);
  switch (error.family) {
    case 'transient':
      throw error;
    case 'capacity':
      return putOff(job, token, error.retryAfterMs ?? busyWaitMs);
    case 'ownership':
      return;
    case 'cancelled':
      return error.code === 'cancelled.shutdown' ? putOff(job, token, 0) : undefined;
    case 'input':
    case 'corrupt':
    case 'bug':
      throw new UnrecoverableError(`${error.code}: ${error.message}`);
    default:
      return assertNever(error.family);
  }
}

async function putOff(job: Job, token: string | undefined, waitMs: number): Promise<never> {
  await job.moveToDelayed(Date.now() + waitMs, token);
  throw new DelayedError();
}
