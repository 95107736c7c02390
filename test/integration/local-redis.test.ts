import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { planEntryCommand } from '../../src/local/entry-command.ts';
import { findFreePort } from '../../src/local/ports.ts';
import { findProcessIdentity } from '../../src/local/process-identity.ts';
import { openPrivateRedis, type PrivateRedis } from '../../src/local/redis-launcher.ts';
import { untilAllDead } from '../support/processes.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const openOnes: PrivateRedis[] = [];

beforeEach(async () => {
  folder = await openTemporaryFolder('redis');
});

afterEach(async () => {
  for (const redis of openOnes.splice(0)) await redis.close();
  await folder.remove();
});

async function open(options: Partial<Parameters<typeof openPrivateRedis>[0]> = {}): Promise<PrivateRedis> {
  const redis = await openPrivateRedis({ dataDir: folder.path, log: silentLogger, ...options });
  openOnes.push(redis);
  return redis;
}

/** Sends inline commands and resolves with everything the server says to them. */
async function ask(redis: PrivateRedis, ...commands: string[]): Promise<string> {
  const { password, port } = new URL(redis.url);
  const socket = connect(Number(port), '127.0.0.1');
  socket.end([`AUTH ${password}`, ...commands, 'QUIT', ''].join('\r\n'));
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  return text;
}

describe('openPrivateRedis', () => {
  it('keeps every write, and its address, over a kill and a restart', async () => {
    const first = await open();
    expect(await ask(first, 'SET key kept')).toContain('+OK');
    process.kill(first.pid, 'SIGKILL');
    expect(await first.exited).toEqual({ code: null, signal: 'SIGKILL' });
    const second = await open();
    expect(second.url).toBe(first.url);
    expect(await ask(second, 'GET key')).toContain('kept');
  });

  it('appends and syncs every second, evicts nothing, saves no snapshots, listens on loopback alone', async () => {
    const redis = await open();
    const settings = ['appendonly', 'appendfsync', 'maxmemory-policy', 'save', 'bind', 'dir'];
    const answer = await ask(redis, ...settings.map((name) => `CONFIG GET ${name}`));
    for (const value of ['yes', 'everysec', 'noeviction', '127.0.0.1', join(folder.path, 'redis')]) {
      expect(answer).toContain(`\r\n${value}\r\n`);
    }
    expect(answer).toContain('$4\r\nsave\r\n$0\r\n\r\n');
  });

  it('wants the password, which no command line shows', async () => {
    const redis = await open();
    const { password } = new URL(redis.url);
    expect(password).toHaveLength(48);
    expect(execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' })).not.toContain(password);
    const socket = connect(redis.port, '127.0.0.1');
    socket.end('PING\r\n');
    expect(String((await once(socket, 'data'))[0])).toContain('-NOAUTH');
  });

  it('ends a server that an earlier start left over the same folder, and has its data', async () => {
    const orphan = await openPrivateRedis({ dataDir: folder.path, log: silentLogger });
    await ask(orphan, 'SET key kept');
    const next = await open();
    expect(findProcessIdentity(orphan.pid)).toBeUndefined();
    expect(next.url).toBe(orphan.url);
    expect(await ask(next, 'GET key')).toContain('kept');
  });

  it('ends a leftover server that answers nobody', async () => {
    const orphan = await openPrivateRedis({ dataDir: folder.path, log: silentLogger });
    process.kill(orphan.pid, 'SIGSTOP');
    const next = await open();
    expect(findProcessIdentity(orphan.pid)).toBeUndefined();
    expect(next.pid).not.toBe(orphan.pid);
  }, 30_000);

  it('leaves a stranger alone that has the recorded number or port', async () => {
    const first = await open();
    await first.close();
    const stranger = createServer((socket) => socket.end('+OK\r\n-ERR who are you\r\n'));
    stranger.listen(first.port, '127.0.0.1');
    await once(stranger, 'listening');
    const path = join(folder.path, 'redis', 'server.json');
    const record = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    expect(record['server']).toMatchObject({ pid: first.pid });
    const second = await open();
    expect(second.port).not.toBe(first.port);
    expect(stranger.listening).toBe(true);
    stranger.close();
  });

  it('rejects a port that is taken, naming it', async () => {
    const port = await findFreePort('127.0.0.1');
    const stranger = createServer();
    stranger.listen(port, '127.0.0.1');
    await once(stranger, 'listening');
    await expect(open({ port })).rejects.toMatchObject({ code: 'input.port-taken', details: { port } });
    stranger.close();
  });

  it('says what the server said when that refuses to start', async () => {
    const server = { command: '/bin/sh', argv0: null };
    await expect(open({ server })).rejects.toMatchObject({
      code: 'input.config',
      message: expect.stringMatching(/ended before it was ready \(exit code \d+\): .*not found/),
    });
    await expect(open({ server: { command: '/nowhere/redis-server', argv0: null } })).rejects.toMatchObject({
      code: 'input.config',
      message: expect.stringContaining('cannot start /nowhere/redis-server'),
    });
  });

  it('gives the start up when it is told to, with no server left', async () => {
    const reason = new Error('not any more');
    await expect(open({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const record = JSON.parse(await readFile(join(folder.path, 'redis', 'server.json'), 'utf8'));
    expect(findProcessIdentity(record.server.pid)).toBeUndefined();
  });
});

describe('redis-process', () => {
  it('ends Redis when its parent is killed', async () => {
    const port = await findFreePort('127.0.0.1');
    const { command, args } = planEntryCommand('./redis-process', [folder.path, String(port)]);
    // a parent that only holds the channel and passes the message on
    const script = `const child = require('node:child_process').spawn(${JSON.stringify(command)}, ${JSON.stringify(args)},
      { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
      child.on('message', (message) => console.log(JSON.stringify({ ...message, launcher: child.pid })));`;
    const parent = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const message = JSON.parse(String((await once(parent.stdout, 'data'))[0]));
    expect(message).toMatchObject({ type: 'ready', url: expect.stringContaining(`@127.0.0.1:${port}`) });
    parent.kill('SIGKILL');
    await untilAllDead([message.launcher, message.pids.redis]);
  });
});
