import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { openLocalBucket, type Stack, type StackOptions, startStack } from '../../src/local/index.ts';
import { findFreePort } from '../../src/local/ports.ts';
import { findProcessIdentity } from '../../src/local/process-identity.ts';
import { openS3ObjectStore } from '../../src/storage/index.ts';
import { untilAllDead } from '../support/processes.ts';
import { EventLog } from '../support/scripted-children.ts';
import { standInWorkers } from '../support/stand-ins/stand-in-workers.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let log: EventLog;
const openOnes: Stack[] = [];
const runners: ChildProcess[] = [];

beforeEach(async () => {
  folder = await openTemporaryFolder('stack');
  log = new EventLog();
});

afterEach(async () => {
  for (const stack of openOnes.splice(0)) await stack.stop({ force: true });
  for (const runner of runners.splice(0)) runner.kill('SIGKILL');
  await folder.remove();
});

/** Without the servers that the caller's own environment may name. */
const env = { PATH: process.env['PATH'], NODE_NO_WARNINGS: '1' };
/** Stand-ins never ask the store, so tests that are not about it need none. */
const noStore = { S3_ENDPOINT: 'http://127.0.0.1:9', S3_BUCKET: 'other' };

async function start(options: Partial<StackOptions> = {}): Promise<Stack> {
  const stack = await startStack({
    dataDir: folder.path,
    apiHost: '127.0.0.1',
    apiPort: 0,
    modelDir: '/models/one',
    log: silentLogger,
    onEvent: log.add,
    workers: standInWorkers,
    ...options,
    env: { ...env, ...noStore, ...options.env },
  });
  openOnes.push(stack);
  return stack;
}

const startedPids = (): readonly number[] =>
  log.events.flatMap((event) => {
    if (event.type === 'child-start') return [event.pid];
    return event.type === 'child-ready' ? Object.values(event.pids) : [];
  });

const left = (): readonly number[] => startedPids().filter((pid) => findProcessIdentity(pid) !== undefined);

/** A stack in a process of its own, to be killed. */
async function startRunner() {
  const script = fileURLToPath(new URL('../support/stand-ins/stack-runner.ts', import.meta.url));
  const runner = spawn(process.execPath, ['--import', 'tsx', script, folder.path], {
    env: { ...env, ...noStore },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  runners.push(runner);
  const { pids, redisUrl } = JSON.parse(String((await once(runner.stdout, 'data'))[0])) as Pick<Stack, 'redisUrl'> & {
    pids: Record<string, number>;
  };
  return { runner, pids: Object.values(pids), redisUrl };
}

describe('startStack', () => {
  it('brings up all processes, tells the workers where everything is, and stops consumers before the api', async () => {
    const journal = join(folder.path, 'journal');
    const script = JSON.stringify({ journal });
    const stack = await start({
      env: { STAND_IN_JANITOR: script, STAND_IN_INTAKE: script, STAND_IN_ANALYSIS: script, STAND_IN_API: script },
    });
    expect(Object.keys(stack.pids()).toSorted()).toEqual([
      'analysis',
      'api',
      'engine',
      'intake',
      'janitor',
      'redis',
      'redis-launcher',
    ]);
    const seen = (await (await fetch(stack.apiUrl)).json()) as Record<string, string>;
    expect(seen).toMatchObject({
      ...noStore,
      REDIS_URL: stack.redisUrl,
      QUIRE_DATA_DIR: folder.path,
      QUIRE_MODEL_DIR: '/models/one',
      QUIRE_API_HOST: '127.0.0.1',
      QUIRE_API_PORT: new URL(stack.apiUrl).port,
    });
    await stack.stop();
    expect(await stack.ended).toBe(0);
    expect(readFileSync(journal, 'utf8').trim().split('\n').toSorted()).toEqual([
      'analysis',
      'api',
      'intake',
      'janitor',
    ]);
    expect(readFileSync(journal, 'utf8').trim().split('\n').at(-1)).toBe('api');
    expect(log.story.slice(-3)).toEqual(['child-exit api', 'child-exit redis-launcher', 'stopped']);
    expect(left()).toEqual([]);
  });

  it('rejects a second start on the same folder, and gives the third the same Redis', async () => {
    const first = await start();
    await expect(start()).rejects.toMatchObject({
      code: 'input.data-folder-locked',
      message: expect.stringContaining(`another quire, process ${process.pid}`),
    });
    await first.stop();
    expect((await start()).redisUrl).toBe(first.redisUrl);
  });

  it('stops the start with the reason a worker gives, leaving no process and no lock', async () => {
    const failWith = { code: 'input.model-folder', message: 'no config.json in /models/one' };
    await expect(start({ env: { STAND_IN_ANALYSIS: JSON.stringify({ failWith }) } })).rejects.toMatchObject(failWith);
    expect(log.story.filter((line) => line === 'child-start analysis')).toHaveLength(1);
    expect(left()).toEqual([]);
    await start();
  });

  it('rejects an api port that is taken before it starts anything', async () => {
    const apiPort = await findFreePort('127.0.0.1');
    const stranger = createServer();
    stranger.listen(apiPort, '127.0.0.1');
    await once(stranger, 'listening');
    await expect(start({ apiPort })).rejects.toMatchObject({
      code: 'input.port-taken',
      message: expect.stringContaining(String(apiPort)),
    });
    expect(log.events).toEqual([]);
    stranger.close();
  });

  it('replaces what is killed: redis under the same address, the worker together with its engine', async () => {
    const stack = await start();
    const before = stack.pids();
    process.kill(Number(before['redis']), 'SIGKILL');
    process.kill(Number(before['analysis']), 'SIGKILL');
    await log.waitFor('child-ready', 'redis-launcher', 2);
    await log.waitFor('child-ready', 'analysis', 2);
    const after = stack.pids();
    for (const name of ['redis', 'redis-launcher', 'analysis', 'engine']) expect(after[name]).not.toBe(before[name]);
    for (const name of ['janitor', 'intake', 'api']) expect(after[name]).toBe(before[name]);
    expect(findProcessIdentity(Number(before['engine']))).toBeUndefined();
    const { REDIS_URL } = (await (await fetch(stack.apiUrl)).json()) as Record<string, string>;
    expect(REDIS_URL).toBe(stack.redisUrl);
  });

  it('uses the Redis it is given and starts none', async () => {
    const stack = await start({ env: { REDIS_URL: 'redis://127.0.0.1:9/3' } });
    expect(stack.redisUrl).toBe('redis://127.0.0.1:9/3');
    expect(Object.keys(stack.pids()).toSorted()).toEqual(['analysis', 'api', 'engine', 'intake', 'janitor']);
  });

  it('keeps a bucket in the folder, under the same address and keys, and readable when it does not run', async () => {
    const own = { S3_ENDPOINT: '', S3_BUCKET: '' };
    const first = await start({ env: own });
    expect(Object.keys(first.pids())).toContain('s3');
    await openS3ObjectStore(first.s3).put('a/key', Buffer.from('kept'));
    const read = async (): Promise<string> => {
      const bucket = await openLocalBucket(folder.path, env);
      const found = await openS3ObjectStore(bucket.s3).get('a/key');
      await bucket.close();
      return Buffer.from(found?.body ?? []).toString();
    };
    expect(await read()).toBe('kept');
    await first.stop();
    // nothing of the store lies between the stack's own files
    expect(readdirSync(folder.path).toSorted()).toEqual([
      'aws-credentials',
      'children.json',
      'lock',
      'logs',
      'redis',
      's3',
      'stack.json',
    ]);
    expect(await read()).toBe('kept');
    const second = await start({ env: own });
    expect(second.s3).toEqual(first.s3);
    const killed = Number(second.pids()['s3']);
    process.kill(killed, 'SIGKILL');
    await log.waitFor('child-ready', 's3', 3);
    expect(await read()).toBe('kept');
  });

  it('has no bucket to open where no quire ever ran', async () => {
    await expect(openLocalBucket(join(folder.path, 'nothing'), env)).rejects.toMatchObject({ code: 'input.config' });
    await expect(openLocalBucket(folder.path, env)).rejects.toMatchObject({ code: 'input.config' });
  });

  it('leaves nothing behind when its process is killed, and the next start has the same Redis', async () => {
    const { runner, pids, redisUrl } = await startRunner();
    expect(pids).toHaveLength(7);
    const exited = once(runner, 'exit');
    runner.kill('SIGKILL');
    await exited;
    // its children may not have noticed yet: the next start waits for them
    const next = await start();
    expect(next.redisUrl).toBe(redisUrl);
    await untilAllDead(pids);
  });

  it('ends in order at Ctrl-C, with exit code 0', async () => {
    const { runner, pids } = await startRunner();
    const exited = once(runner, 'exit');
    runner.kill('SIGINT');
    expect(await exited).toEqual([0, null]);
    expect(pids.filter((pid) => findProcessIdentity(pid) !== undefined)).toEqual([]);
  });
});
