import { spawnSync } from 'node:child_process';
import { findApt, findExecutable } from './setup-apt.mjs';
import { SetupError, say } from './setup-run.mjs';

/**
 * Makes sure that a Redis server can be started, or is named by REDIS_URL. Only Debian and Ubuntu are helped further, and
 * only where that needs no password.
 *
 * The package installed is the tools, not the server: it holds the same binary (which the launcher starts under the
 * server's name) and no service, so nothing new runs on the machine or starts with it.
 */
export function ensureRedis(env) {
  if ((env.REDIS_URL ?? '') !== '' || hasRedisServer(env.PATH ?? '')) return;
  const apt = findApt(env);
  const byHand =
    'install redis (debian, ubuntu: apt-get install redis-tools; macos: brew install redis) or set REDIS_URL';
  if (apt === undefined) throw new SetupError(`no redis-server or valkey-server found; ${byHand}`);
  let reason = '';
  for (const name of ['redis-tools', 'valkey-tools']) {
    say(`no redis-server found; installing the package ${name} with apt-get (no service is enabled or started)`);
    if (reason === '') apt(['update']);
    const { failed } = apt(['install', '--yes', '--no-install-recommends', name]);
    if (failed === null && hasRedisServer(env.PATH ?? '')) return;
    reason = failed ?? `${name} holds no server`;
  }
  throw new SetupError(`apt-get could not install a redis server (${reason}); ${byHand}`);
}

/** The same candidates in the same order as `find-redis-server.ts`, which starts what this finds. */
const candidates = [
  { file: 'redis-server', argv0: null },
  { file: 'valkey-server', argv0: null },
  { file: 'redis-check-rdb', argv0: 'redis-server' },
  { file: 'valkey-check-rdb', argv0: 'valkey-server' },
];

function hasRedisServer(searchPath) {
  return candidates.some(({ file, argv0 }) => {
    const command = findExecutable(file, searchPath);
    return command !== undefined && (argv0 === null || isServerAs(command, argv0));
  });
}

function isServerAs(command, argv0) {
  const answer = spawnSync(command, ['--version'], { argv0, encoding: 'utf8', timeout: 5_000 });
  return answer.status === 0 && /^(?:redis|valkey) server v=/i.test(answer.stdout);
}
