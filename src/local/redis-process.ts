/**
 * Holds the private Redis for the supervisor: `redis-process <data folder> <port>`.
 * Redis itself would outlive a killed parent; this process ends it when its channel ends, and ends with it.
 */
import { env } from '../base/env.contract.ts';
import { AppError } from '../base/errors.ts';
import { buildLineLogger } from './line-logger.ts';
import { openPrivateRedis } from './redis-launcher.ts';
import { type LocalChild, runLocalChild } from './run-local-child.ts';

async function open(signal: AbortSignal): Promise<LocalChild> {
  const [dataDir, portText = ''] = process.argv.slice(2);
  const port = Number(portText);
  if (dataDir === undefined || !Number.isInteger(port) || port < 1) {
    throw new AppError('input.config', `redis-process needs a data folder and a port, got ${JSON.stringify(portText)}`);
  }
  const log = buildLineLogger('redis', process.env[env.logLevel]);
  const redis = await openPrivateRedis({ dataDir, port, log, signal });
  const ended = redis.exited.then((exit) => {
    if (!signal.aborted) log.error({ ...exit }, 'redis ended by itself');
  });
  return { details: { url: redis.url, pids: { redis: redis.pid } }, ended, close: () => redis.close() };
}

await runLocalChild(open);
