import { setTimeout as wait } from 'node:timers/promises';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { signalProcess } from './process-group.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import { pingRedis, shutDownRedis } from './redis-ping.ts';
import { loadRedisRecord, redisDirOf } from './redis-record.ts';

const pollMs = 10;
const pingTimeoutMs = 1_000;
/** For each of: asked, SIGTERM, SIGKILL. */
const graceMs = 5_000;

/**
 * Ends the server an earlier start left over this folder, if there is one: asked politely over its port when it knows our
 * password, by signal when it is the recorded process.
 * @throws `input.data-folder-locked` when it cannot be ended
 */
export async function stopLeftoverRedis(dataDir: string, log: Logger): Promise<void> {
  const record = loadRedisRecord(redisDirOf(dataDir));
  if (record.port !== null) {
    const answer = await pingRedis(record.port, record.password, pingTimeoutMs);
    if (answer === 'ready' || answer === 'loading') {
      log.warn({ port: record.port }, 'a redis left over from an earlier start is being ended');
      await shutDownRedis(record.port, record.password, graceMs);
    }
  }
  const { server } = record;
  if (server === null || (await untilDead(server, 0))) return;
  log.warn({ pid: server.pid }, 'a redis left over from an earlier start is being ended');
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    // asked again each time, because only a living process keeps its number from being given to another
    if (isAlive(server)) signalProcess(server.pid, signal);
    if (await untilDead(server, graceMs)) return;
  }
  throw new AppError(
    'input.data-folder-locked',
    `redis process ${server.pid} uses the data folder and cannot be ended`,
    {
      details: { pid: server.pid },
    },
  );
}

async function untilDead(server: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadlineMs = Date.now() + timeoutMs;
  while (isAlive(server)) {
    if (Date.now() >= deadlineMs) return false;
    await wait(pollMs);
  }
  return true;
}
