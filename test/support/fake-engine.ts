import type { Clock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { EngineClient, type EngineClientDeps } from '../../src/engine/client.ts';
import type { EngineChannel, EngineExit } from '../../src/engine/engine-channel.ts';
import type { ClientMessage, GenerateRequest, HostMessage, ModelCard } from '../../src/engine/messages.ts';

export const tinyCard = { id: 'tiny', notice: null } as ModelCard;

/** What the client looks at of a request. */
export function request(id: string, more: Partial<GenerateRequest> = {}): GenerateRequest {
  return { id, priority: 1, deadlineMs: null, resume: null, ...more } as GenerateRequest;
}

export const tick = (): Promise<void> => new Promise(setImmediate);

/** Engine processes that do what the test says, and a clock that stands until told. */
export class FakeEngines {
  readonly channels: FakeChannel[] = [];
  readonly sleeps: { readonly ms: number; readonly wake: () => void; isOver: boolean }[] = [];
  readonly client: EngineClient;
  nowMs = 0;

  constructor(deps: Partial<EngineClientDeps> = {}) {
    const clock: Clock = {
      nowMs: () => this.nowMs,
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          const sleep = { ms, isOver: false, wake: () => resolve() };
          signal?.addEventListener('abort', () => {
            sleep.isOver = true;
            reject(signal.reason);
          });
          this.sleeps.push(sleep);
        }),
    };
    const connect = (): EngineChannel => {
      const channel = new FakeChannel();
      this.channels.push(channel);
      return channel;
    };
    this.client = new EngineClient({ connect, clock, log: silentLogger, ...deps });
  }

  get last(): FakeChannel {
    const channel = this.channels.at(-1);
    if (channel === undefined) throw new Error('no engine was started');
    return channel;
  }

  ready(): FakeChannel {
    this.last.say({ type: 'engine-ready', card: tinyCard, loadMs: 5 });
    return this.last;
  }

  /** Ends the process and starts another, which is loaded at once. */
  async restart(exit: string): Promise<FakeChannel> {
    this.last.die(exit);
    this.sleeps.at(-1)?.wake();
    await tick();
    return this.ready();
  }
}

export class FakeChannel implements EngineChannel {
  readonly pid = 1;
  readonly sent: ClientMessage[] = [];
  killed = false;
  isFull = false;
  say: (message: HostMessage) => void = () => {};
  drain: () => void = () => {};
  #exit: (exit: EngineExit) => void = () => {};

  /** Name on the wire of the newest try of a request. */
  idOf(name: string): string {
    const id = this.#starts().findLast((candidate) => candidate.startsWith(`${name}#`));
    if (id === undefined) throw new Error(`no request ${name} was sent`);
    return id;
  }

  /** Names of the requests that were sent, in order. */
  get started(): readonly string[] {
    return this.#starts().map((id) => id.slice(0, id.indexOf('#')));
  }

  run(...names: readonly string[]): void {
    this.say({ type: 'run-start', ids: names.map((name) => this.idOf(name)) });
  }

  answer(name: string, content = 'done'): void {
    this.say({ type: 'generate-end', id: this.idOf(name), result: { content } as never });
  }

  /** @param how `SIGKILL`, or an exit code */
  die(how: string): void {
    const code = Number(how);
    const isCode = Number.isInteger(code);
    this.#exit({
      how: isCode ? `exit code ${how}` : `signal ${how}`,
      code: isCode ? code : null,
      signal: isCode ? null : how,
    });
  }

  send(message: ClientMessage): boolean {
    this.sent.push(message);
    return !this.isFull;
  }
  onDrain(listener: () => void): void {
    this.drain = () => {
      this.isFull = false;
      listener();
    };
  }
  onMessage(listener: (message: unknown) => void): void {
    this.say = listener;
  }
  onExit(listener: (exit: EngineExit) => void): void {
    this.#exit = listener;
  }
  kill(): void {
    this.killed = true;
  }

  #starts(): readonly string[] {
    return this.sent.flatMap((message) =>
      message.type === 'generate-start' || message.type === 'embed-start' ? [message.request.id] : [],
    );
  }
}
