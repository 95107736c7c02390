import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { access, constants, statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { isAppError } from '../../base/errors.ts';
import { silentLogger } from '../../base/log.ts';
import { findRedisServer, lockDataFolder, openLocalBucket } from '../../local/index.ts';
import { openWorkQueue } from '../../queue/index.ts';
import { openS3ObjectStore } from '../../storage/index.ts';
import { type Check, fail, ok, runCheck, warn } from './check.ts';
import { probeStore } from './probe-store.ts';

type Variables = Readonly<Record<string, string | undefined>> | undefined;

/** Results, documents and logs of a few thousand lines take less. */
const minFreeBytes = 1 << 30;

export function checkDataDir(dataDir: string): Promise<Check> {
  return runCheck('data folder', 'choose a folder of your own with --data-dir or QUIRE_DATA_DIR', async () => {
    const there = nearestExisting(resolve(dataDir));
    await access(there, constants.W_OK | constants.X_OK);
    const { bavail, bsize } = await statfs(there);
    const free = `${((Number(bavail) * Number(bsize)) / 2 ** 30).toFixed(1)} GiB free`;
    const pid = findOwner(dataDir);
    const use =
      pid === null
        ? existsSync(dataDir)
          ? 'no quire is running over it'
          : 'made by "quire up"'
        : `in use by quire, process ${pid}`;
    const found = `${dataDir}: ${use}, ${free}`;
    if (Number(bavail) * Number(bsize) >= minFreeBytes) return ok('data folder', found);
    return warn('data folder', found, 'make room on that disk: what is stored there is the truth about your batches');
  });
}

/** The process that runs quire over the folder; null: none. */
export function findOwner(dataDir: string): number | null {
  // a look must leave nothing behind in a folder that is no data folder
  if (!existsSync(resolve(dataDir, 'lock'))) return null;
  try {
    lockDataFolder(dataDir).release();
    return null;
  } catch (error) {
    if (isAppError(error) && error.code === 'input.data-folder-locked') return Number(error.details['pid']);
    throw error;
  }
}

const nearestExisting = (path: string): string => (existsSync(path) ? path : nearestExisting(dirname(path)));

/** @param given the url when one was set */
export function checkRedis(given: string | null, isRunning: boolean): Promise<Check> {
  if (given !== null) {
    return runCheck(
      'redis',
      'start that server, or leave REDIS_URL out and "quire up" runs one of its own',
      async () => {
        const queue = openWorkQueue({ redisUrl: given, log: silentLogger });
        try {
          await queue.ping();
        } finally {
          await queue.close();
        }
        // the rest of the url may hold a password
        return ok('redis', `answers at ${new URL(given).host} (REDIS_URL)`);
      },
    );
  }
  return runCheck('redis', 'install Redis or Valkey', async () => {
    const server = findRedisServer();
    if (server === undefined) {
      if (isRunning)
        return warn('redis', 'no redis-server on the PATH any more', 'install it before the next "quire up"');
      const todo =
        'install Redis or Valkey (Debian: apt-get install redis-tools; macOS: brew install redis), or set REDIS_URL';
      return fail('redis', 'no redis-server or valkey-server on the PATH', todo);
    }
    const { command, argv0 } = server;
    const said = spawnSync(command, ['--version'], {
      encoding: 'utf8',
      timeout: 5_000,
      ...(argv0 === null ? {} : { argv0 }),
    });
    const version = /v=(\S+)/.exec(said.stdout ?? '')?.[1] ?? 'of unknown version';
    return ok('redis', `${version}, ${command}${isRunning ? '' : '; "quire up" starts it'}`);
  });
}

export function checkStore(dataDir: string, variables: Variables, isExternal: boolean): Promise<Check> {
  const todo = isExternal
    ? 'check S3_ENDPOINT, S3_BUCKET and the keys; the store must honour If-None-Match and If-Match on writes'
    : 'restart "quire up"; its S3 server logs to logs/s3.log in the data folder';
  return runCheck('store', todo, async () => {
    if (!isExternal && !existsSync(resolve(dataDir, 'stack.json'))) {
      return ok('store', `nothing stored yet; "quire up" makes the bucket in ${dataDir}`);
    }
    const bucket = await openLocalBucket(dataDir, variables);
    try {
      await probeStore(openS3ObjectStore(bucket.s3));
      return ok('store', `bucket ${bucket.s3.bucket} at ${bucket.s3.endpoint ?? 'AWS'} honours conditional writes`);
    } finally {
      await bucket.close();
    }
  });
}
