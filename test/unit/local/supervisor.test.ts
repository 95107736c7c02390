import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/log.ts';
import type { ChildSpec } from '../../../src/local/child-spec.ts';
import { findProcessIdentity } from '../../../src/local/process-identity.ts';
import { openSupervisor, type Supervisor, type SupervisorOptions } from '../../../src/local/supervisor.ts';
import { EventLog, StillClock, scriptedChild, steadyScript } from '../../support/scripted-children.ts';

const openOnes: Supervisor[] = [];

afterEach(async () => {
  for (const supervisor of openOnes.splice(0)) await supervisor.stop({ force: true });
});

async function open(
  children: readonly ChildSpec[],
  log: EventLog,
  options: Partial<SupervisorOptions> = {},
): Promise<Supervisor> {
  const supervisor = await openSupervisor({ children, log: silentLogger, onEvent: log.add, ...options });
  openOnes.push(supervisor);
  return supervisor;
}

const steady = (name: string, options: Partial<ChildSpec> = {}) => scriptedChild(name, steadyScript, options);

describe('Supervisor', () => {
  it('starts dependencies first and stops them last, every state in order', async () => {
    const log = new EventLog();
    const supervisor = await open(
      [
        steady('api', { dependsOn: ['store'], stopAfter: ['consumer'] }),
        steady('store', { stop: 'ipc' }),
        steady('consumer', { dependsOn: ['store'] }),
      ],
      log,
    );
    await supervisor.stop();
    expect(await supervisor.stopped).toEqual({ forced: false });
    expect(supervisor.pids()).toEqual({});
    const { story } = log;
    expect(story.slice(0, 3)).toEqual(['starting', 'child-start store', 'child-ready store']);
    expect(story.slice(3, 7).toSorted()).toEqual([
      'child-ready api',
      'child-ready consumer',
      'child-start api',
      'child-start consumer',
    ]);
    expect(story.slice(7)).toEqual([
      'running',
      'draining',
      'child-exit consumer',
      'child-exit api',
      'child-exit store',
      'stopped',
    ]);
  });

  it('gives a child what the others said when they became ready', async () => {
    const log = new EventLog();
    const server = scriptedChild('server', `${steadyScript.replace("'ready'", "'ready', url: 'redis://x'")}`);
    const client = scriptedChild(
      'client',
      `process.on('SIGTERM', () => process.exit(0)); process.send({ type: 'ready', saw: process.env.URL })`,
      { dependsOn: ['server'], env: (ready) => ({ URL: String(ready.get('server')?.['url']) }) },
    );
    const supervisor = await open([client, server], log);
    expect(supervisor.ready.get('client')).toMatchObject({ saw: 'redis://x' });
  });

  it('starts a crashed child again, with back-off that doubles and ends after a healthy life', async () => {
    const log = new EventLog();
    const clock = new StillClock();
    const supervisor = await open([steady('worker')], log, { clock });
    const waits: (number | null)[] = [];
    for (let crash = 1; crash <= 4; crash += 1) {
      if (crash === 4) clock.advance(10_000);
      process.kill(Number(supervisor.pids()['worker']), 'SIGKILL');
      const { restartInMs, signal } = await log.waitFor('child-exit', 'worker', crash);
      expect(signal).toBe('SIGKILL');
      waits.push(restartInMs);
      await clock.wake(restartInMs ?? 0);
      await log.waitFor('child-ready', 'worker', crash + 1);
    }
    expect(waits).toEqual([100, 200, 400, 100]);
    expect(new Set(log.events.flatMap((event) => (event.type === 'child-start' ? [event.pid] : []))).size).toBe(5);
  });

  it('keeps trying a child that was up once and now says that it cannot start', async () => {
    const memory = await openMemory();
    const log = new EventLog();
    const clock = new StillClock();
    const supervisor = await open([memory.child('worker', ['ready', 'failed', 'ready'])], log, { clock });
    process.kill(Number(supervisor.pids()['worker']), 'SIGKILL');
    await clock.wake(100);
    expect((await log.waitFor('child-failed', 'worker')).error).toMatchObject({ code: 'transient.store-unreachable' });
    await clock.wake(200);
    await log.waitFor('child-ready', 'worker', 2);
    expect(Object.keys(supervisor.pids())).toEqual(['worker']);
    await memory.close();
  });

  it('stops the start with the error a child gives as its reason, and ends the others', async () => {
    const log = new EventLog();
    const failing = scriptedChild(
      'analysis',
      `process.send({ type: 'failed', error: { code: 'input.model-folder', message: 'no config.json in /m', details: null, param: null } }, () => process.exit(2))`,
      { dependsOn: ['store'] },
    );
    await expect(open([failing, steady('store'), steady('api')], log)).rejects.toMatchObject({
      code: 'input.model-folder',
      message: 'no config.json in /m',
    });
    expect(log.story.filter((line) => line === 'child-start analysis')).toHaveLength(1);
    expect(log.story.at(-1)).toBe('stopped');
    for (const event of log.events) {
      if (event.type === 'child-start') expect(findProcessIdentity(event.pid)).toBeUndefined();
    }
  });

  it('stops the start when a child exits without a word, and repeats its last lines', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'quire-supervisor-'));
    const output = { type: 'file', path: join(dir, 'logs', 'worker.log') } as const;
    const log = new EventLog();
    const broken = scriptedChild('worker', 'console.error("SyntaxError: bad"); process.exit(1)', { output });
    await expect(open([broken], log)).rejects.toMatchObject({
      code: 'bug.invariant',
      message: 'worker ended before it was ready (exit code 1): SyntaxError: bad',
    });
    await rm(dir, { recursive: true });
  });

  it('stops the start when the command does not exist', async () => {
    const log = new EventLog();
    const missing = { ...steady('worker'), command: '/nowhere/at-all' };
    await expect(open([missing], log)).rejects.toMatchObject({ code: 'input.config' });
    expect(log.story).toEqual(['starting', 'child-failed worker', 'child-exit worker', 'draining', 'stopped']);
  });

  it('tries again when a child is killed during its first start', async () => {
    const memory = await openMemory();
    const log = new EventLog();
    const clock = new StillClock();
    const opening = open([memory.child('worker', ['killed', 'ready'])], log, { clock });
    expect((await log.waitFor('child-exit', 'worker')).signal).toBe('SIGKILL');
    await clock.wake(100);
    await opening;
    expect(log.story.at(-1)).toBe('running');
    await memory.close();
  });

  it('gives up a child that is not ready in its time', async () => {
    const log = new EventLog();
    const clock = new StillClock();
    const mute = scriptedChild('mute', 'setInterval(() => undefined, 1000)', { readyTimeoutMs: 7_000 });
    const opening = open([mute], log, { clock });
    await log.waitFor('child-start', 'mute');
    const outcome = expect(opening).rejects.toMatchObject({ code: 'transient.timeout', details: { timeoutMs: 7_000 } });
    await clock.wake(7_000);
    await clock.wake(2_000);
    await outcome;
  });

  it('kills what does not finish within the grace time', async () => {
    const log = new EventLog();
    const clock = new StillClock();
    const stubborn = scriptedChild(
      'stubborn',
      `process.on('SIGTERM', () => undefined);  setInterval(() => undefined, 1000); process.send({ type: 'ready' })`,
    );
    const supervisor = await open([stubborn], log, { clock, forceMs: 30_000 });
    const stopping = supervisor.stop();
    await clock.wake(30_000);
    await stopping;
    expect(await supervisor.stopped).toEqual({ forced: true });
    expect(await log.waitFor('child-exit', 'stubborn')).toMatchObject({ signal: 'SIGKILL', restartInMs: null });
  });

  it('kills at the second request, the children of children too', async () => {
    const log = new EventLog();
    const stop = new AbortController();
    const force = new AbortController();
    // the grandchild ignores every signal it can, and keeps no channel: only the kill of the group reaches it
    const parent = scriptedChild(
      'parent',
      `process.on('SIGTERM', () => undefined);
      const child = require('node:child_process').spawn(process.execPath,
        ['-e', 'process.on("SIGTERM", () => {}); console.log(1); setInterval(() => {}, 1000)'], { stdio: ['ignore', 'pipe', 'ignore'] });
      child.stdout.once('data', () => process.send({ type: 'ready', pids: { grandchild: child.pid } }));`,
    );
    const supervisor = await open([parent], log, { stopSignal: stop.signal, forceSignal: force.signal });
    const grandchild = Number(supervisor.pids()['grandchild']);
    expect(findProcessIdentity(grandchild)).toBeDefined();
    stop.abort();
    await log.waitFor('phase', undefined, 3);
    force.abort();
    expect(await supervisor.stopped).toEqual({ forced: true });
    expect(findProcessIdentity(grandchild)).toBeUndefined();
  });

  it('ends what a crashed child left running before it starts it again', async () => {
    const log = new EventLog();
    const clock = new StillClock();
    const parent = scriptedChild(
      'parent',
      `const child = require('node:child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
      process.on('SIGTERM', () => process.exit(0));
      process.send({ type: 'ready', pids: { orphan: child.pid } });`,
    );
    const supervisor = await open([parent], log, { clock });
    const { parent: pid, orphan } = supervisor.pids();
    process.kill(Number(pid), 'SIGKILL');
    await log.waitFor('child-exit', 'parent');
    expect(findProcessIdentity(Number(orphan))).toBeUndefined();
  });

  it('tells of processes a child started before it was ready, and of those it replaced', async () => {
    const log = new EventLog();
    const say = (engine: number) => `process.send({ type: 'pids', pids: { engine: ${engine} } });`;
    const parent = scriptedChild('analysis', `${say(4241)} ${steadyScript} ${say(4242)}`);
    const supervisor = await open([parent], log);
    const { pid, pids } = await log.waitFor('child-pids', 'analysis', 2);
    const ready = await log.waitFor('child-ready', 'analysis');
    expect(ready.pids).toEqual({ analysis: pid, engine: 4241 });
    expect(pids).toEqual({ analysis: pid, engine: 4242 });
    expect(supervisor.pids()).toEqual({ analysis: pid, engine: 4242 });
  });

  it('rejects the start when it is stopped meanwhile, with nothing left running', async () => {
    const log = new EventLog();
    const stop = new AbortController();
    const slow = scriptedChild('slow', 'setInterval(() => undefined, 1000)');
    const opening = open([slow, steady('later', { dependsOn: ['slow'] })], log, { stopSignal: stop.signal });
    const { pid } = await log.waitFor('child-start', 'slow');
    stop.abort();
    await expect(opening).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    expect(findProcessIdentity(pid)).toBeUndefined();
    expect(log.story).not.toContain('child-start later');
  });

  it('starts nothing when it is stopped beforehand', async () => {
    const log = new EventLog();
    await expect(open([steady('a')], log, { stopSignal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'cancelled.shutdown',
    });
    expect(log.events).toEqual([]);
  });

  it('does not start a crashed child again once it is stopped', async () => {
    const log = new EventLog();
    const clock = new StillClock();
    const supervisor = await open([steady('worker')], log, { clock });
    process.kill(Number(supervisor.pids()['worker']), 'SIGKILL');
    await log.waitFor('child-exit', 'worker');
    await supervisor.stop();
    expect(log.story.filter((line) => line === 'child-start worker')).toHaveLength(1);
  });
});

interface Memory {
  /** Lives one after the other as the list says: it asks the memory which one it is. */
  child(name: string, lives: readonly ('ready' | 'failed' | 'killed')[]): ChildSpec;
  close(): Promise<void>;
}

/** A child has no memory between its lives; a socket of the test is one, without files or sleeps. */
async function openMemory(): Promise<Memory> {
  let asked = 0;
  let lives: readonly string[] = [];
  const server: Server = createServer((socket) => socket.end(lives[Math.min(asked++, lives.length - 1)] ?? ''));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const script = `
    process.on('SIGTERM', () => process.exit(0));
    const failed = { type: 'failed', error: { code: 'transient.store-unreachable', message: 'no store' } };
    require('node:net').connect(${port}, '127.0.0.1').on('data', (text) => {
      if (text.toString() === 'killed') process.kill(process.pid, 'SIGKILL');
      else if (text.toString() === 'failed') process.send(failed, () => process.exit(75));
      else process.send({ type: 'ready' });
    });
    process.on('disconnect', () => process.exit(0));`;
  return {
    child: (name, planned) => {
      lives = planned;
      return scriptedChild(name, script);
    },
    close: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
