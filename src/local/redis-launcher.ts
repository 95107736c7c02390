/**
 * A Redis of our own over a folder of the data folder.
 *
 * R1  Never two servers over one append-only file: a server left over from an earlier start is ended first. It is known
 *     to be ours by answering to this folder's password, or by being the very process that was recorded.
 * R2  Port and password are recorded before the server starts, so no server can run that the next start cannot find.
 * R3  The password passes through the server's standard input, never through a command line.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { AppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { findRedisServer, type RedisServerCommand } from './find-redis-server.ts';
import { checkPortFree, findFreePort } from './ports.ts';
import { findProcessIdentity } from './process-identity.ts';
import { stopLeftoverRedis } from './redis-leftover.ts';
import { pingRedis } from './redis-ping.ts';
import { loadRedisRecord, redisDirOf, saveRedisRecord } from './redis-record.ts';

const host = '127.0.0.1';
const pollMs = 10;
const pingTimeoutMs = 1_000;
const readyTimeoutMs = 30_000;
/** Redis flushes and leaves within milliseconds; the rest is for a busy disk. */
const graceMs = 5_000;
/** Only lost races for a port are tried again. */
const maxPortTries = 5;
const logLinesKept = 20;

export interface PrivateRedisOptions {
  readonly dataDir: string;
  /** Exactly this port, or `input.port-taken`. Without it: the port of the last start, else any free one. */
  readonly port?: number;
  readonly log: Logger;
  /** @defaultValue the first server found on PATH */
  readonly server?: RedisServerCommand;
  /** Aborting it gives the start up; its reason is thrown when the server is gone. */
  readonly signal?: AbortSignal;
}

export interface RedisExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface PrivateRedis {
  /** With the password in it. */
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Resolves when the server has ended, for whatever reason; never rejects. */
  readonly exited: Promise<RedisExit>;
  /** Flushes and ends the server; resolves when it is gone. */
  close(): Promise<void>;
}

/**
 * Starts Redis on 127.0.0.1 over `<dataDir>/redis`: append-only file synced every second, no snapshots, no eviction,
 * password from the folder's own record. Resolves when it answers.
 * @throws `input.config` without a server binary, or when the server refuses to start; `input.port-taken`;
 *   `transient.timeout` when it does not answer within 30 s (reading a long append-only file does not count)
 */
export async function openPrivateRedis(options: PrivateRedisOptions): Promise<PrivateRedis> {
  const server = options.server ?? findRedisServer();
  if (server === undefined) {
    const message = 'no redis-server or valkey-server on PATH; install one or set REDIS_URL';
    throw new AppError('input.config', message);
  }
  const dir = redisDirOf(options.dataDir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  await stopLeftoverRedis(options.dataDir, options.log);
  const record = loadRedisRecord(dir);
  for (let tries = 1; ; tries += 1) {
    const port = await choosePort(options.port, record.port);
    const outcome = await startOn({ ...options, port, server, dir, password: record.password });
    if (outcome !== 'port-taken') return outcome;
    if (options.port !== undefined || tries === maxPortTries) await checkPortFree(host, port, 'the private redis');
  }
}

async function choosePort(wished: number | undefined, remembered: number | null): Promise<number> {
  if (wished === undefined) return await findFreePort(host, { preferred: remembered });
  await checkPortFree(host, wished, 'the private redis');
  return wished;
}

interface StartOptions {
  readonly port: number;
  readonly server: RedisServerCommand;
  readonly dir: string;
  readonly password: string;
  readonly log: Logger;
  readonly signal?: AbortSignal;
}

async function startOn(options: StartOptions): Promise<PrivateRedis | 'port-taken'> {
  const { port, server, dir, password } = options;
  saveRedisRecord(dir, { port, password, server: null });
  const child = spawn(server.command, ['-'], {
    cwd: dir,
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(server.argv0 === null ? {} : { argv0: server.argv0 }),
  });
  const exited = exitOf(child);
  const lines = keepLines(child, options.log);
  // a server that dies at once closes the pipe under us; its exit is the better report
  child.stdin.on('error', () => undefined);
  child.stdin.end(configOf(dir, port, password));
  const pid = child.pid;
  if (pid === undefined) {
    throw new AppError('input.config', `cannot start ${server.command}: ${(await exited).reason}`);
  }
  saveRedisRecord(dir, { port, password, server: findProcessIdentity(pid) ?? null });
  try {
    await untilReady(port, password, exited, options.signal);
  } catch (error) {
    await end(child, exited);
    if (lines.some((line) => line.includes('Address already in use'))) return 'port-taken';
    if (error instanceof EarlyExit) {
      const said = lines.filter((line) => line.trim() !== '').slice(-3);
      const message = `${server.command} ended before it was ready (${error.message}): ${said.join(' | ')}`;
      throw new AppError('input.config', message, { cause: error });
    }
    throw error;
  }
  return {
    url: `redis://:${password}@${host}:${port}`,
    port,
    pid,
    exited: exited.then(({ code, signal }) => ({ code, signal })),
    close: () => end(child, exited),
  };
}

/** Every value is ours, but a folder name may hold anything: JSON's escapes are those of the config file. */
function configOf(dir: string, port: number, password: string): string {
  return [
    `bind ${host}`,
    `port ${port}`,
    `requirepass ${password}`,
    `dir ${JSON.stringify(dir)}`,
    'daemonize no',
    'appendonly yes',
    'appendfsync everysec',
    'save ""',
    'maxmemory-policy noeviction',
    '',
  ].join('\n');
}

interface ChildExit extends RedisExit {
  readonly reason: string;
}

class EarlyExit extends Error {}

function exitOf(child: ChildProcess): Promise<ChildExit> {
  return new Promise((settle) => {
    child.once('exit', (code, signal) => {
      settle({ code, signal, reason: signal === null ? `exit code ${code}` : `signal ${signal}` });
    });
    child.once('error', (error) => settle({ code: null, signal: null, reason: error.message }));
  });
}

function keepLines(child: ChildProcess, log: Logger): readonly string[] {
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream?.setEncoding('utf8').on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop() ?? '';
      for (const line of parts) {
        lines.push(line);
        log.debug({ line }, 'redis says');
      }
      lines.splice(0, lines.length - logLinesKept);
    });
  }
  return lines;
}

async function untilReady(
  port: number,
  password: string,
  exited: Promise<ChildExit>,
  signal: AbortSignal | undefined,
): Promise<void> {
  let lastSignOfLifeMs = Date.now();
  let exit: ChildExit | undefined;
  void exited.then((value) => {
    exit = value;
  });
  while (Date.now() - lastSignOfLifeMs < readyTimeoutMs) {
    const answer = await Promise.race([pingRedis(port, password, pingTimeoutMs), exited]);
    signal?.throwIfAborted();
    // before the answer: when ours has ended, somebody else's server gave it
    if (exit !== undefined) throw new EarlyExit(exit.reason);
    if (answer === 'ready') return;
    if (answer === 'loading') lastSignOfLifeMs = Date.now();
    await wait(pollMs);
  }
  throw new AppError('transient.timeout', `the private redis did not answer within ${readyTimeoutMs} ms`);
}

async function end(child: ChildProcess, exited: Promise<ChildExit>): Promise<void> {
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
  await exited;
  clearTimeout(timer);
}
