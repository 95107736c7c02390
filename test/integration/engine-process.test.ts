import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type EngineChannel, EngineClient } from '../../src/engine/index.ts';
import { forkEngine } from '../../workers/compose/fork-engine.ts';
import { request } from '../support/fake-engine.ts';

/** Speaks the protocol and does what the request's tenant says, in a process that can really crash. */
const scriptedEngine = join(import.meta.dirname, '../support/scripted-engine.mjs');

const outcome = (answer: Promise<unknown>): Promise<unknown> => answer.catch((error: unknown) => error);

/** Its number is free, and what it said is read: the loop has turned since. */
async function untilGone(pid: number): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    try {
      process.kill(pid, 0);
    } catch {
      break;
    }
  }
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
}

let clients: EngineClient[] = [];
const open = (connect = () => forkEngine(scriptedEngine)): EngineClient => {
  const client = new EngineClient({ connect, clock: systemClock, log: silentLogger });
  clients.push(client);
  return client;
};

afterEach(() => {
  for (const client of clients) client.close();
  clients = [];
});

describe('an engine process', () => {
  it('answers, and is restarted after it ends', async () => {
    const client = open();
    expect(await client.generate(request('a', { tenant: 'answer' }))).toMatchObject({ content: 'answer' });
    const error = await outcome(client.generate(request('b', { tenant: 'exit-3' })));
    expect(error).toMatchObject({ code: 'transient.engine-interrupted', message: 'engine process ended: exit code 3' });
    expect(await client.generate(request('c', { tenant: 'answer' }))).toMatchObject({ content: 'answer' });
  });

  it('may have said that it is ready, or have ended, before anybody listened', async () => {
    const [ready, gone] = [forkEngine(scriptedEngine), forkEngine(scriptedEngine)];
    process.kill(Number(gone.pid), 'SIGKILL');
    await untilGone(Number(gone.pid));
    const first = open(() => ready);
    expect(await first.ready()).toMatchObject({ id: 'scripted' });
    const channels = [gone];
    const second = open(() => channels.shift() ?? forkEngine(scriptedEngine));
    expect(await second.ready()).toMatchObject({ id: 'scripted' });
    expect(channels).toEqual([]);
  });

  it.each(['SIGSEGV', 'SIGABRT'])(
    'is heard to its last word when it crashes by %s in the same tick',
    async (signal) => {
      const client = open();
      const waiting = outcome(client.generate(request('waits', { tenant: 'wait' })));
      const crash = (): Promise<unknown> => outcome(client.generate(request('bad', { tenant: `run-${signal}` })));
      // `run-start` and a checkpoint were written right before the signal
      expect(await crash()).toMatchObject({
        code: 'transient.engine-interrupted',
        details: { running: true, checkpoint: { tokenIds: [1, 2, 3] } },
      });
      expect(await waiting).toMatchObject({ code: 'transient.engine-interrupted', details: { running: false } });
      expect(await crash()).toMatchObject({ code: 'bug.engine-crash', details: { ends: 2, how: `signal ${signal}` } });
      expect(await client.generate(request('c', { tenant: 'answer' }))).toMatchObject({ content: 'answer' });
    },
  );

  it('takes a flood of large requests piece by piece, and answers all', async () => {
    const pipe = { full: 0, drained: 0, sentWhileFull: 0, isFull: false };
    const connect = (): EngineChannel => {
      const channel = forkEngine(scriptedEngine);
      return {
        ...channel,
        send: (message) => {
          if (pipe.isFull) pipe.sentWhileFull++;
          pipe.isFull = !channel.send(message);
          if (pipe.isFull) pipe.full++;
          return !pipe.isFull;
        },
        onDrain: (listener) =>
          channel.onDrain(() => {
            pipe.isFull = false;
            pipe.drained++;
            listener();
          }),
      };
    };
    const client = open(connect);
    const text = 'long '.repeat(200_000);
    const long = { role: 'user', content: text, name: null, reasoning: null, toolCalls: null, toolCallId: null };
    const many = Array.from({ length: 120 }, (_, index) =>
      client.generate(request(`r${index}`, { tenant: 'answer', messages: [long as never] })),
    );
    const answers = await Promise.all(many);
    expect(answers.map(({ promptTokens }) => promptTokens)).toEqual(many.map(() => text.length));
    expect(pipe.full).toBeGreaterThan(1);
    expect(pipe).toMatchObject({ drained: pipe.full, sentWhileFull: 0 });
  });
});
