import { Redis } from 'ioredis';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';

export interface RedisOptions {
  /** `redis://` or `rediss://`, with password and database number if there are any. */
  readonly redisUrl: string;
  readonly log: Logger;
}

const connectTimeoutMs = 2_000;
const maxReconnectWaitMs = 1_000;

/** Longer and longer, but never so long that a Redis that is back waits for us. */
const reconnectWaitMs = (attempts: number): number => Math.min(attempts * 100, maxReconnectWaitMs);

/** A Redis that hangs is as bad as one that is gone: a command that takes so long has failed. */
const commandTimeoutMs = 5_000;

/** For callers that wait for an answer: commands fail at once while Redis is away. */
export function openCommandConnection(options: RedisOptions, what: string): Redis {
  return connect(options, what, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    commandTimeout: commandTimeoutMs,
  });
}

/** For listeners: commands wait until Redis is back. BullMQ's workers demand it. */
export function openPatientConnection(options: RedisOptions, what: string): Redis {
  return connect(options, what, { maxRetriesPerRequest: null });
}

function connect({ redisUrl, log }: RedisOptions, what: string, options: object): Redis {
  const redis = new Redis(redisUrl, {
    ...options,
    connectTimeout: connectTimeoutMs,
    retryStrategy: reconnectWaitMs,
    connectionName: what,
  });
  // an 'error' without listener would end the process; reconnecting is the client's own business
  redis.on(
    'error',
    onceADisturbance(redis, (err) => log.warn({ err: err.message, connection: what }, 'redis is unreachable')),
  );
  return redis;
}

/** One line of log for an outage, however often connecting fails meanwhile. */
function onceADisturbance(redis: Redis, tell: (error: Error) => void): (error: Error) => void {
  let isTold = false;
  redis.on('ready', () => {
    isTold = false;
  });
  return (error) => {
    if (!isTold) tell(error);
    isTold = true;
  };
}

/** Runs a command of a connection that is up, or fails. @throws `transient.queue-unreachable` */
export async function reach<Result>(redis: Redis, run: () => Promise<Result>): Promise<Result> {
  try {
    await untilFirstAttempt(redis);
    return await run();
  } catch (cause) {
    const { host, port } = redis.options;
    throw new AppError('transient.queue-unreachable', `redis is unreachable at ${host}:${port}`, {
      cause,
      retryAfterMs: maxReconnectWaitMs,
    });
  }
}

/** A connection just opened is neither up nor down yet; anything but up is down after its first try. */
async function untilFirstAttempt(redis: Redis): Promise<void> {
  if (redis.status === 'connecting' || redis.status === 'connect' || redis.status === 'wait') {
    await new Promise<void>((resolve) => {
      const settle = (): void => {
        clearTimeout(timer);
        redis.off('ready', settle);
        redis.off('close', settle);
        resolve();
      };
      const timer = setTimeout(settle, connectTimeoutMs);
      redis.once('ready', settle);
      redis.once('close', settle);
    });
  }
  if (redis.status !== 'ready') throw new Error(`redis connection is ${redis.status}`);
}
