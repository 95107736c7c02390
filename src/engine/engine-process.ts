import type { Clock } from '../base/clock.ts';
import { AppError, deserializeError, isFamily, toAppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import type { EngineChannel, EngineExit } from './engine-channel.ts';
import { parseHostMessage } from './host-message.ts';
import type { ClientMessage, HostMessage, ModelCard } from './messages.ts';

/** What the process says while it works; loading is the affair of `EngineProcess`. */
export type WorkMessage = Exclude<HostMessage, { type: 'engine-ready' | 'engine-failed' }>;

export interface EngineProcessDeps {
  readonly connect: () => EngineChannel;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onPid: (pid: number | null) => void;
  /** A process is loaded, the first or a later one. */
  readonly onReady: () => void;
  readonly onMessage: (message: WorkMessage) => void;
  /** The pipe has room again. */
  readonly onDrain: () => void;
  /** Another process follows, unless `onFailed` is called next. */
  readonly onExit: (exit: EngineExit) => void;
  /** There will be no process any more. */
  readonly onFailed: (error: AppError) => void;
}

/**
 * `starting` → `ready` by the process's word; → `backing-off` by its end → `starting` when the time is over.
 * `failed`: it cannot be loaded. `closed`: by us. The last two are final.
 */
type State =
  | { readonly type: 'starting'; readonly channel: EngineChannel }
  | { readonly type: 'ready'; readonly channel: EngineChannel; readonly card: ModelCard }
  | { readonly type: 'backing-off' }
  | { readonly type: 'failed'; readonly error: AppError }
  | { readonly type: 'closed'; readonly error: AppError };

const firstBackoffMs = 100;
const maxBackoffMs = 5_000;
/** Engine processes in a row that ended before they were ready; after so many, none ever will be. */
const maxFailedStarts = 5;

/**
 * Keeps one engine process alive: starts it, and another after its end, with a pause that doubles until one is ready.
 * A model that cannot be loaded (`input`, `corrupt`, `capacity`) is final: restarting would not mend it.
 */
export class EngineProcess {
  readonly #deps: EngineProcessDeps;
  #state: State = { type: 'backing-off' };
  #backoffMs = firstBackoffMs;
  #failedStarts = 0;
  #lastFailure: AppError | null = null;
  #waiters: { resolve: (card: ModelCard) => void; reject: (error: unknown) => void }[] = [];

  constructor(deps: EngineProcessDeps) {
    this.#deps = deps;
    this.#start();
  }

  get isReady(): boolean {
    return this.#state.type === 'ready';
  }

  /** Why there will be no process any more; null while there is one or will be. */
  get end(): AppError | null {
    const state = this.#state;
    return state.type === 'failed' || state.type === 'closed' ? state.error : null;
  }

  /** Resolves when a process is loaded, at once when it is; rejects when none ever will be. */
  ready(): Promise<ModelCard> {
    const state = this.#state;
    if (state.type === 'ready') return Promise.resolve(state.card);
    if (this.end !== null) return Promise.reject(this.end);
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** False: the pipe is full, `onDrain` says when it is not. Without a loaded process nothing is sent. */
  send(message: ClientMessage): boolean {
    return this.#state.type !== 'ready' || this.#state.channel.send(message);
  }

  close(): void {
    const state = this.#state;
    if (this.end !== null) return;
    const error = new AppError('cancelled.shutdown', 'engine client is closed');
    this.#state = { type: 'closed', error };
    if (state.type === 'starting' || state.type === 'ready') state.channel.kill();
    this.#rejectWaiters(error);
  }

  #start(): void {
    let channel: EngineChannel;
    try {
      channel = this.#deps.connect();
    } catch (error) {
      // the system may have no room for another process just now
      this.#ended({ how: toAppError(error).message, code: null, signal: null }, true);
      return;
    }
    this.#state = { type: 'starting', channel };
    this.#deps.onPid(channel.pid);
    channel.onMessage((value) => this.#receive(channel, value));
    channel.onDrain(() => {
      if (this.#isCurrent(channel)) this.#deps.onDrain();
    });
    channel.onExit((exit) => {
      if (this.#isCurrent(channel)) this.#ended(exit, this.#state.type === 'starting');
    });
  }

  #isCurrent(channel: EngineChannel): boolean {
    const state = this.#state;
    return (state.type === 'ready' || state.type === 'starting') && state.channel === channel;
  }

  #receive(channel: EngineChannel, value: unknown): void {
    if (!this.#isCurrent(channel)) return;
    const message = parseHostMessage(value);
    if (message === undefined) this.#deps.log.warn({}, 'engine process said something unknown');
    else if (message.type === 'engine-ready') this.#becomeReady(channel, message.card, message.loadMs);
    else if (message.type === 'engine-failed') this.#loadFailed(deserializeError(message.error));
    else this.#deps.onMessage(message);
  }

  #becomeReady(channel: EngineChannel, card: ModelCard, loadMs: number): void {
    this.#state = { type: 'ready', channel, card };
    this.#backoffMs = firstBackoffMs;
    this.#failedStarts = 0;
    this.#lastFailure = null;
    this.#deps.log.info({ model: card.id, loadMs }, 'engine ready');
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve(card);
    this.#deps.onReady();
  }

  #loadFailed(error: AppError): void {
    this.#deps.log.error({ err: error, code: error.code }, 'engine cannot start');
    this.#lastFailure = error;
    if (isFamily(error, 'input') || isFamily(error, 'corrupt') || isFamily(error, 'capacity')) this.#giveUp(error);
  }

  #giveUp(error: AppError): void {
    this.#state = { type: 'failed', error };
    this.#rejectWaiters(error);
    this.#deps.onFailed(error);
  }

  #ended(exit: EngineExit, wasStarting: boolean): void {
    const backoffMs = this.#backoffMs;
    this.#backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
    this.#state = { type: 'backing-off' };
    this.#deps.log.warn({ how: exit.how, backoffMs }, 'engine process ended');
    this.#deps.onExit(exit);
    if (wasStarting && ++this.#failedStarts >= maxFailedStarts) {
      const what = `engine process ended ${maxFailedStarts} times before it was ready, last by ${exit.how}`;
      this.#giveUp(this.#lastFailure ?? new AppError('bug.engine-crash', what));
      return;
    }
    void this.#deps.clock.sleep(backoffMs).then(() => {
      if (this.#state.type === 'backing-off') this.#start();
    });
  }

  #rejectWaiters(error: AppError): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { reject } of waiters) reject(error);
  }
}
