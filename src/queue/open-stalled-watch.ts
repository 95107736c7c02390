import { Worker } from 'bullmq';
import { queueNames } from './messages.schema.ts';
import { openPatientConnection, type RedisOptions } from './redis-connection.ts';
import { defaultStalledMs, maxStalledCount } from './stalled.ts';

export interface StalledWatchOptions extends RedisOptions {
  /** How often the jobs of dead workers are looked for. @defaultValue 2,000 */
  readonly stalledMs?: number;
}

export interface StalledWatch {
  stop(): Promise<void>;
}

/**
 * Gives units of dead workers back to the queue while no worker is there to do it, and takes none itself. Workers look
 * for them too; where none is left, the next one finds them waiting when it is ready, instead of two looks later.
 */
export function openStalledWatch({ log, stalledMs = defaultStalledMs, ...options }: StalledWatchOptions): StalledWatch {
  const redis = openPatientConnection({ ...options, log }, 'quire-stalled');
  // without a handler it never fetches a job
  const worker = new Worker(queueNames.units, null, {
    connection: redis,
    autorun: false,
    stalledInterval: stalledMs,
    maxStalledCount,
  });
  worker.on('error', (err) => log.debug({ err: err.message, queue: queueNames.units }, 'stalled watch error'));
  worker.on('stalled', (jobId) => log.warn({ jobId }, 'job of a dead worker is back in the queue'));
  worker.startStalledCheckTimer().catch((err: unknown) => log.error({ err }, 'stalled watch cannot start'));
  return {
    stop: async () => {
      // while Redis is away there is nothing to end in good order
      const closed = redis.status === 'ready' ? worker.close() : Promise.resolve();
      await closed.catch(() => {});
      redis.disconnect();
    },
  };
}
