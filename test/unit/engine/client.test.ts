import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/base/clock.ts';
import { AppError, serializeError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { type EngineChannel, EngineClient } from '../../../src/engine/client.ts';
import type {
  ClientMessage,
  GenerateRequest,
  GenerateResult,
  HostMessage,
  ModelCard,
} from '../../../src/engine/messages.ts';

const card = { id: 'tiny', notice: null } as ModelCard;
const request = (id: string): GenerateRequest => ({ id }) as GenerateRequest;
const result = { content: 'done' } as GenerateResult;

/** Engine processes that do what the test says. */
class FakeEngines {
  readonly channels: FakeChannel[] = [];
  readonly sleeps: { ms: number; wake: () => void }[] = [];
  readonly clock: Clock = {
    nowMs: () => 0,
    sleep: (ms) => new Promise((wake) => this.sleeps.push({ ms, wake })),
  };
  readonly client: EngineClient;

  constructor() {
    const connect = (): EngineChannel => {
      const channel = new FakeChannel();
      this.channels.push(channel);
      return channel;
    };
    this.client = new EngineClient({ connect, clock: this.clock, log: silentLogger });
  }

  get last(): FakeChannel {
    const channel = this.channels.at(-1);
    if (channel === undefined) throw new Error('no engine was started');
    return channel;
  }
}

class FakeChannel implements EngineChannel {
  readonly pid = 1;
  /** Name on the wire of the newest request that was called `name`. */
  idOf(name: string): string {
    const ids = this.sent.flatMap((message) => (message.type === 'generate-start' ? [message.request.id] : []));
    const id = ids.findLast((candidate) => candidate.startsWith(`${name}#`));
    if (id === undefined) throw new Error(`no request ${name} was sent`);
    return id;
  }
  readonly sent: ClientMessage[] = [];
  killed = false;
  say: (message: HostMessage) => void = () => {};
  die: (how: string) => void = () => {};
  send(message: ClientMessage): void {
    this.sent.push(message);
  }
  onMessage(listener: (message: HostMessage) => void): void {
    this.say = listener;
  }
  onExit(listener: (how: string) => void): void {
    this.die = listener;
  }
  kill(): void {
    this.killed = true;
  }
}

const tick = (): Promise<void> => new Promise(setImmediate);

describe('EngineClient', () => {
  it('holds requests until the model is loaded, then gives each its own result', async () => {
    const engines = new FakeEngines();
    const [first, second] = [engines.client.generate(request('a')), engines.client.generate(request('b'))];
    expect(engines.last.sent).toEqual([]);
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    await tick();
    engines.last.say({ type: 'generate-end', id: engines.last.idOf('b'), result: { ...result, content: 'b' } });
    engines.last.say({ type: 'generate-end', id: engines.last.idOf('a'), result: { ...result, content: 'a' } });
    expect((await first).content).toBe('a');
    expect((await second).content).toBe('b');
  });

  it('reports what the engine says of a request as the same error', async () => {
    const engines = new FakeEngines();
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    const answer = engines.client.generate(request('a'));
    await tick();
    const error = serializeError(new AppError('input.context-length', 'too long', { param: 'messages' }));
    engines.last.say({ type: 'generate-failed', id: engines.last.idOf('a'), error });
    await expect(answer).rejects.toMatchObject({ code: 'input.context-length', param: 'messages' });
  });

  it('interrupts running requests when the process dies, restarts it, and backs off longer each time', async () => {
    const engines = new FakeEngines();
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    const answer = engines.client.generate(request('a'));
    await tick();
    engines.last.die('signal SIGKILL');
    await expect(answer).rejects.toMatchObject({ code: 'transient.engine-interrupted' });
    engines.sleeps[0]?.wake();
    await tick();
    engines.last.die('exit code 1');
    engines.sleeps[1]?.wake();
    await tick();
    expect(engines.channels).toHaveLength(3);
    expect(engines.sleeps.map(({ ms }) => ms)).toEqual([100, 200]);
    const again = engines.client.generate(request('a'));
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    await tick();
    engines.last.say({ type: 'generate-end', id: engines.last.idOf('a'), result });
    expect((await again).content).toBe('done');
  });

  it('says which request was in work when the process died', async () => {
    const engines = new FakeEngines();
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    const [running, waiting] = [engines.client.generate(request('a')), engines.client.generate(request('b'))];
    await tick();
    const progress = { phase: 'prefill', promptTokens: 1, prefilledTokens: 0, completionTokens: 0 } as const;
    engines.last.say({ type: 'generate-progress', id: engines.last.idOf('a'), progress });
    engines.last.die('signal SIGSEGV');
    await expect(running).rejects.toMatchObject({ details: { running: true } });
    await expect(waiting).rejects.toMatchObject({ details: { running: false } });
  });

  it('does not take the end of a cancelled request for that of the same one sent again', async () => {
    const engines = new FakeEngines();
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    const abort = new AbortController();
    const first = engines.client.generate(request('a'), { signal: abort.signal });
    await tick();
    const firstId = engines.last.idOf('a');
    abort.abort(new AppError('ownership.lost', 'lock lost'));
    await expect(first).rejects.toMatchObject({ code: 'ownership.lost' });
    const second = engines.client.generate(request('a'));
    await tick();
    const error = serializeError(new AppError('cancelled.by-user', 'request was cancelled'));
    engines.last.say({ type: 'generate-failed', id: firstId, error });
    engines.last.say({ type: 'generate-end', id: engines.last.idOf('a'), result });
    expect((await second).content).toBe('done');
  });

  it('does not restart for a model that cannot be loaded', async () => {
    const engines = new FakeEngines();
    const waiting = engines.client.ready();
    const error = serializeError(new AppError('input.model-folder', 'no config.json'));
    engines.last.say({ type: 'engine-failed', error });
    await expect(waiting).rejects.toMatchObject({ code: 'input.model-folder' });
    engines.last.die('exit code 1');
    await expect(engines.client.generate(request('a'))).rejects.toMatchObject({ code: 'input.model-folder' });
    expect(engines.channels).toHaveLength(1);
  });

  it('gives up with the last reason after five processes that ended before they were ready', async () => {
    const engines = new FakeEngines();
    const refused = expect(engines.client.ready()).rejects.toMatchObject({ message: 'the runtime cannot be loaded' });
    const error = serializeError(new AppError('bug.invariant', 'the runtime cannot be loaded'));
    for (let start = 0; start < 5; start++) {
      engines.last.say({ type: 'engine-failed', error });
      engines.last.die('exit code 1');
      engines.sleeps[start]?.wake();
      await tick();
    }
    await refused;
    expect(engines.channels).toHaveLength(5);
  });

  it('cancels in the engine when the signal aborts, and rejects with its reason', async () => {
    const engines = new FakeEngines();
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    const abort = new AbortController();
    const answer = engines.client.generate(request('a'), { signal: abort.signal });
    await tick();
    abort.abort(new AppError('cancelled.by-user', 'stop'));
    await expect(answer).rejects.toMatchObject({ code: 'cancelled.by-user' });
    expect(engines.last.sent.map(({ type }) => type)).toEqual(['generate-start', 'generate-cancel']);
  });

  it('kills the process and rejects everything on close', async () => {
    const engines = new FakeEngines();
    engines.last.say({ type: 'engine-ready', card, loadMs: 5 });
    const answer = engines.client.generate(request('a'));
    await tick();
    engines.client.close();
    await expect(answer).rejects.toMatchObject({ code: 'cancelled.shutdown' });
    expect(engines.last.killed).toBe(true);
  });
});
