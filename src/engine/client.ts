import type { Clock } from '../base/clock.ts';
import { AppError, deserializeError, isFamily } from '../base/errors.ts';
import { assertNever } from '../base/invariant.ts';
import type { Logger } from '../base/log.ts';
import type {
  ClientMessage,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
  HostMessage,
  ModelCard,
} from './messages.ts';

/** A live engine process as the client sees it. */
export interface EngineChannel {
  readonly pid: number | null;
  send(message: ClientMessage): void;
  onMessage(listener: (message: HostMessage) => void): void;
  /** Called once, when the process is gone for whatever reason. */
  onExit(listener: (how: string) => void): void;
  kill(): void;
}

export interface EngineClientDeps {
  readonly connect: () => EngineChannel;
  readonly clock: Clock;
  readonly log: Logger;
  readonly onPid?: (pid: number | null) => void;
  /** The model cannot be loaded any more; the process that owns this client can only end. */
  readonly onFailed?: (error: AppError) => void;
}

export interface GenerateOptions {
  /** Aborting cancels the request; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: GenerateProgress) => void;
}

interface Pending {
  readonly options: GenerateOptions;
  /** The engine has begun with it, so it may be what ended the engine. */
  isRunning: boolean;
  readonly resolve: (result: GenerateResult) => void;
  readonly reject: (error: unknown) => void;
}

type State =
  | { readonly type: 'starting'; readonly channel: EngineChannel }
  | { readonly type: 'ready'; readonly channel: EngineChannel; readonly card: ModelCard; readonly loadMs: number }
  | { readonly type: 'backing-off' }
  | { readonly type: 'failed'; readonly error: AppError }
  | { readonly type: 'closed' };

const firstBackoffMs = 100;
const maxBackoffMs = 5_000;
/** Engine processes in a row that ended before they were ready; after so many, none ever will be. */
const maxFailedStarts = 5;

/**
 * Owns the engine process: starts it, restarts it with back-off, gives each request its result.
 * When the process dies every request in it rejects with `transient.engine-interrupted`; the caller decides to retry.
 * A model that cannot be loaded (`input`, `corrupt`, `capacity`) is final: restarting would not mend it.
 */
export class EngineClient {
  readonly #deps: EngineClientDeps;
  readonly #pending = new Map<string, Pending>();
  #state: State;
  #backoffMs = firstBackoffMs;
  #sentTotal = 0;
  #failedStarts = 0;
  #lastFailure: AppError | null = null;
  #waiters: { resolve: (card: ModelCard) => void; reject: (error: unknown) => void }[] = [];

  constructor(deps: EngineClientDeps) {
    this.#deps = deps;
    this.#state = { type: 'starting', channel: this.#start() };
  }

  /** Resolves when an engine is loaded, at once when it is; rejects when the model cannot be loaded at all. */
  ready(): Promise<ModelCard> {
    const state = this.#state;
    if (state.type === 'ready') return Promise.resolve(state.card);
    if (state.type === 'failed') return Promise.reject(state.error);
    if (state.type === 'closed') return Promise.reject(closed());
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /**
   * @throws what the engine reports, the signal's reason, or `transient.engine-interrupted` with `details.running`:
   *   was this request the one in work when the process ended?
   */
  async generate(request: GenerateRequest, options: GenerateOptions = {}): Promise<GenerateResult> {
    options.signal?.throwIfAborted();
    await this.ready();
    options.signal?.throwIfAborted();
    const state = this.#state;
    if (state.type !== 'ready') throw interrupted('it ended while the request waited', false);
    // a name of its own for every try: the end of a cancelled one must not be taken for that of the next
    const id = `${request.id}#${this.#sentTotal++}`;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#pending.delete(id);
        state.channel.send({ type: 'generate-cancel', id });
        reject(options.signal?.reason);
      };
      const settle =
        <T>(done: (value: T) => void) =>
        (value: T) => {
          options.signal?.removeEventListener('abort', onAbort);
          done(value);
        };
      this.#pending.set(id, { options, isRunning: false, resolve: settle(resolve), reject: settle(reject) });
      options.signal?.addEventListener('abort', onAbort, { once: true });
      state.channel.send({ type: 'generate-start', request: { ...request, id } });
    });
  }

  close(): void {
    const state = this.#state;
    this.#state = { type: 'closed' };
    if (state.type === 'starting' || state.type === 'ready') state.channel.kill();
    this.#rejectAll(closed());
  }

  #start(): EngineChannel {
    const channel = this.#deps.connect();
    this.#deps.onPid?.(channel.pid);
    channel.onMessage((message) => this.#receive(channel, message));
    channel.onExit((how) => this.#exited(channel, how));
    return channel;
  }

  #receive(channel: EngineChannel, message: HostMessage): void {
    switch (message.type) {
      case 'engine-ready':
        this.#becomeReady(channel, message.card, message.loadMs);
        return;
      case 'engine-failed':
        this.#fail(deserializeError(message.error));
        return;
      case 'generate-progress':
        this.#progress(message.id, message.progress);
        return;
      case 'generate-end':
        this.#settle(message.id, (pending) => pending.resolve(message.result));
        return;
      case 'generate-failed':
        this.#settle(message.id, (pending) => pending.reject(deserializeError(message.error)));
        return;
      default:
        assertNever(message);
    }
  }

  #progress(id: string, progress: GenerateProgress): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    pending.isRunning = true;
    pending.options.onProgress?.(progress);
  }

  #settle(id: string, done: (pending: Pending) => void): void {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (pending !== undefined) done(pending);
  }

  #becomeReady(channel: EngineChannel, card: ModelCard, loadMs: number): void {
    if (this.#state.type === 'closed') return;
    this.#state = { type: 'ready', channel, card, loadMs };
    this.#backoffMs = firstBackoffMs;
    this.#failedStarts = 0;
    this.#lastFailure = null;
    this.#deps.log.info({ model: card.id, loadMs }, 'engine ready');
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { resolve } of waiters) resolve(card);
  }

  #fail(error: AppError): void {
    if (this.#state.type === 'closed') return;
    this.#deps.log.error({ err: error, code: error.code }, 'engine cannot start');
    this.#lastFailure = error;
    if (isFamily(error, 'input') || isFamily(error, 'corrupt') || isFamily(error, 'capacity')) this.#giveUp(error);
  }

  #giveUp(error: AppError): void {
    this.#state = { type: 'failed', error };
    this.#rejectAll(error);
    this.#deps.onFailed?.(error);
  }

  #exited(channel: EngineChannel, how: string): void {
    const state = this.#state;
    const isCurrent = (state.type === 'ready' || state.type === 'starting') && state.channel === channel;
    if (!isCurrent) return;
    const backoffMs = this.#backoffMs;
    this.#backoffMs = Math.min(backoffMs * 2, maxBackoffMs);
    this.#state = { type: 'backing-off' };
    this.#deps.log.warn({ how, backoffMs, interrupted: this.#pending.size }, 'engine process ended');
    for (const { reject, isRunning } of this.#pending.values()) reject(interrupted(how, isRunning));
    this.#pending.clear();
    if (state.type === 'starting' && ++this.#failedStarts >= maxFailedStarts) {
      const what = `engine process ended ${maxFailedStarts} times before it was ready, last by ${how}`;
      this.#giveUp(this.#lastFailure ?? new AppError('bug.engine-crash', what));
      return;
    }
    void this.#deps.clock.sleep(backoffMs).then(() => {
      if (this.#state.type === 'backing-off') this.#state = { type: 'starting', channel: this.#start() };
    });
  }

  #rejectAll(error: AppError): void {
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
    for (const { reject } of this.#waiters) reject(error);
    this.#waiters = [];
  }
}

function interrupted(how: string, running: boolean): AppError {
  return new AppError('transient.engine-interrupted', `engine process ended: ${how}`, { details: { running } });
}

function closed(): AppError {
  return new AppError('cancelled.shutdown', 'engine client is closed');
}
