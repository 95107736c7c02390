import { appendFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { connect, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { openTemporaryFolder } from '../support/temporary-folder.ts';
import { observe, type Timeline } from './harness/observer.ts';
import { RequestLog } from './harness/request-log.ts';

/** Those who watch the scenarios must see what they are there for. */
vi.setConfig({ testTimeout: 20_000, hookTimeout: 20_000 });

const closing: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function logOf(entries: readonly (readonly [type: string, id: string, pid: number, tokens: number])[]) {
  const folder = await openTemporaryFolder('chaos-log');
  closing.push(() => folder.remove());
  const path = join(folder.path, 'log');
  for (const [type, id, pid, tokens] of entries) {
    appendFileSync(path, `${JSON.stringify({ type, id, pid, tokens, atMs: 1_000 + tokens })}\n`);
  }
  return { log: new RequestLog(path), path };
}

describe('RequestLog', () => {
  it('counts what a killed engine produced beyond the checkpoint that the next one went on from', async () => {
    const { log } = await logOf([
      ['start', 'b/0#4', 1, 0],
      ['tokens', 'b/0#4', 1, 90],
      ['start', 'b/0#1', 2, 64],
      ['tokens', 'b/0#1', 2, 119],
      ['end', 'b/0#1', 2, 120],
    ]);
    expect([log.producedTokens(), log.wastedTokens(), log.endedTotal('b')]).toEqual([90 + 56, 26, 1]);
  });

  it('counts everything of a request that two engines answered at once, and of one that nobody finished', async () => {
    const { log } = await logOf([
      ['start', 'b/0', 1, 0],
      ['start', 'b/0', 2, 0],
      ['tokens', 'b/0', 1, 10],
      ['end', 'b/0', 2, 12],
      ['end', 'b/0', 1, 12],
      ['start', 'b/1', 1, 0],
      ['tokens', 'b/1', 1, 7],
      ['fail', 'b/1', 1, 7],
    ]);
    expect(log.wastedTokens()).toBe(12 + 7);
    expect(log.lastEngineOf('b', 1)).toBe(1);
    expect(log.lastEngineOf('b', 11)).toBeUndefined();
  });

  it('reads on where it was, also behind half a line, and finds the first token of another engine', async () => {
    const { log, path } = await logOf([
      ['start', 'b/0', 1, 0],
      ['tokens', 'b/0', 1, 5],
    ]);
    expect(log.producedTokens()).toBe(5);
    appendFileSync(path, '{"type":"tokens","id":"b/0","pid":2,');
    expect(log.firstTokenAfter(1_000, [1])).toBeNull();
    appendFileSync(path, '"tokens":9,"atMs":1500}\n');
    expect([log.firstTokenAfter(1_000, [1]), log.firstTokenAfter(1_000, [])]).toEqual([1_500, 1_005]);
  });
});

/** An api that says these things of a batch, one after the other, and the last for ever. */
async function watch(views: readonly (readonly [status: string, completed: number])[]): Promise<Timeline> {
  let polls = 0;
  const server = createServer((_request, response) => {
    const [status, completed] = views[Math.min(polls++, views.length - 1)] ?? ['', 0];
    if (status === 'away') {
      response.writeHead(503).end();
      return;
    }
    const counts = { total: 3, completed, failed: 0 };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ id: 'b', status, request_counts: counts }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(
    () => server.closeAllConnections(),
    () => server.close(),
  );
  return observe(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'b', { deadlineMs: 20_000 });
}

describe('observe', () => {
  it('accepts a life in order, with gaps', async () => {
    const timeline = await watch([
      ['validating', 0],
      ['away', 0],
      ['in_progress', 1],
      ['completed', 3],
    ]);
    expect(timeline).toMatchObject({
      illegal: [],
      unanswered: 1,
      statuses: ['validating', 'in_progress', 'completed'],
    });
  });

  it.each([
    [
      'in_progress → validating',
      [
        ['in_progress', 0],
        ['validating', 0],
        ['completed', 3],
      ],
    ],
    [
      'completed 2 → 1',
      [
        ['in_progress', 2],
        ['in_progress', 1],
        ['completed', 3],
      ],
    ],
    [
      'cancelling → completed',
      [
        ['cancelling', 0],
        ['completed', 3],
      ],
    ],
    [
      'completed → in_progress',
      [
        ['completed', 3],
        ['in_progress', 3],
        ['completed', 3],
      ],
    ],
  ] as const)('sees %s', async (move, views) => {
    expect((await watch(views)).illegal).toContain(move);
  });

  it('rejects for a batch that comes to no end', async () => {
    const server = createServer((_request, response) => response.writeHead(503).end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    closing.push(
      () => server.closeAllConnections(),
      () => server.close(),
    );
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    await expect(observe(url, 'b', { deadlineMs: 250 })).rejects.toThrow('batch b is not final after 250 ms');
  });
});

/** A server that collects what it hears and answers with it, behind a proxy. */
async function openEcho(): Promise<{ proxy: TcpProxy; heard: () => string; dial: () => Promise<Socket> }> {
  let heard = '';
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      heard += String(bytes);
      socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy = await TcpProxy.open((server.address() as AddressInfo).port);
  closing.push(
    () => proxy.close(),
    () => server.close(),
  );
  const dial = (): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connect(proxy.port, '127.0.0.1', () => resolve(socket));
      socket.on('error', () => {});
      // a connection that is broken at once may never have been one
      socket.on('close', () => resolve(socket));
      closing.unshift(() => socket.destroy());
    });
  return { proxy, heard: () => heard, dial };
}

const nextOf = (socket: Socket): Promise<string> =>
  new Promise((resolve) => socket.once('data', (bytes) => resolve(String(bytes))));
const endOf = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) resolve();
    else socket.once('close', () => resolve());
  });

describe('TcpProxy', () => {
  it('passes, holds back while stalled, and delivers in order afterwards', async () => {
    const { proxy, heard, dial } = await openEcho();
    const socket = await dial();
    socket.write('one');
    expect(await nextOf(socket)).toBe('one');
    proxy.set({ type: 'stall' });
    socket.write('two');
    const other = await dial();
    await new Promise((resolve) => setImmediate(resolve));
    expect(heard()).toBe('one');
    proxy.set({ type: 'pass' });
    expect(await nextOf(socket)).toBe('two');
    other.write('three');
    expect(await nextOf(other)).toBe('three');
  });

  it('cuts what is open and what comes', async () => {
    const { proxy, dial } = await openEcho();
    const socket = await dial();
    socket.write('one');
    await nextOf(socket);
    const ended = endOf(socket);
    proxy.set({ type: 'cut' });
    await ended;
    await endOf(await dial());
    expect(proxy.breaks).toBe(2);
  });

  it('breaks a connection after so many bytes, which still arrive', async () => {
    const { proxy, heard, dial } = await openEcho();
    proxy.set({ type: 'reset', afterBytes: 5 });
    const socket = await dial();
    socket.write('abcdefgh');
    await endOf(socket);
    await expect.poll(heard).toBe('abcde');
  });
});
