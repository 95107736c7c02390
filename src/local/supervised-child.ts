/**
 * One child kept alive: a loop of lives.
 *
 *   idle ─start→ starting ─ready message→ up ─exit→ waiting ─back-off over→ starting …
 *                starting ─failed message, exit with a code, no answer in time→ refused     (before it was ever up)
 *   any ─stop, kill→ stopping ─exit→ stopped
 *
 * C1  A child that was never up may refuse: a bad model folder does not get better by trying again. A process killed by
 *     a signal did not refuse and gets another try.
 * C2  A child that was up once is started again for ever, with back-off.
 * C3  After `stop` or `kill` there is no next life.
 */
import type { Clock } from '../base/clock.ts';
import { AppError, deserializeError, serializeError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { planBackoffMs } from './backoff.ts';
import { awaitBeginning, type Beginning, endFailed } from './child-beginning.ts';
import { type ChildExit, type ChildLife, startChildLife } from './child-life.ts';
import type { ChildMessage, ReadyMessage } from './child-messages.contract.ts';
import type { ChildEnv, ChildSpec } from './child-spec.ts';
import { buildDeferred, type Deferred } from './deferred.ts';
import type { ChildEvent, Pids } from './supervisor-events.ts';

export interface SupervisedChildOptions {
  readonly spec: ChildSpec;
  /** Asked before every start. */
  readonly env: () => ChildEnv;
  readonly onReady: (message: ReadyMessage) => void;
  readonly onEvent: (event: ChildEvent) => void;
  readonly log: Logger;
  readonly clock: Clock;
}

/** A process killed this often before it was up is being killed on purpose. */
const maxKilledStarts = 5;

interface EndedLife {
  readonly beginning: Beginning;
  readonly exit: ChildExit;
  readonly lastWords: string;
  readonly pid: number | null;
}

export class SupervisedChild {
  readonly name: string;
  readonly #options: SupervisedChildOptions;
  readonly #stopping = new AbortController();
  readonly #firstReady: Deferred<ReadyMessage> = buildDeferred();
  #life: ChildLife | undefined;
  #reported: Pids = {};
  #loop: Promise<void> | undefined;
  #wasUp = false;

  constructor(options: SupervisedChildOptions) {
    this.#options = options;
    this.name = options.spec.name;
    // a child stopped before anybody waited for its start has nobody to tell
    this.#firstReady.promise.catch(() => undefined);
  }

  /** Runs until `stop`. Resolves with the first ready message; rejects with why the child refused, or was stopped. */
  start(): Promise<ReadyMessage> {
    if (!this.#stopping.signal.aborted) this.#loop ??= this.#runLives();
    return this.#firstReady.promise;
  }

  /** Its own process and those it told of; empty while there is none. */
  pids(): Pids {
    const pid = this.#life?.pid;
    return pid === undefined ? {} : { [this.name]: pid, ...this.#reported };
  }

  /** Asks the process to finish and resolves when it has, however long that takes. */
  async stop(): Promise<void> {
    if (this.#beginStopping()) this.#life?.finish();
    await this.#loop;
  }

  /** SIGKILL for the process and all it started. */
  kill(): void {
    this.#beginStopping();
    this.#life?.kill();
  }

  #beginStopping(): boolean {
    if (this.#stopping.signal.aborted) return false;
    this.#stopping.abort();
    this.#firstReady.reject(new AppError('cancelled.shutdown', `${this.name} was stopped before it was ready`));
    return true;
  }

  async #runLives(): Promise<void> {
    const { clock, log } = this.#options;
    let backoffMs: number | null = null;
    let killedStarts = 0;
    while (!this.#stopping.signal.aborted) {
      const startedMs = clock.nowMs();
      const ended = await this.#runLife();
      if (ended.beginning.type === 'ended' && ended.exit.signal !== null) killedStarts += 1;
      const refusal = this.#wasUp ? undefined : refusalOf(this.name, ended, killedStarts);
      const isLast = refusal !== undefined || this.#stopping.signal.aborted;
      backoffMs = planBackoffMs(backoffMs, clock.nowMs() - startedMs);
      const { code, signal } = ended.exit;
      const restartInMs = isLast ? null : backoffMs;
      if (!isLast) log.warn({ child: this.name, pid: ended.pid, code, signal, restartInMs }, 'child ended, restarting');
      this.#emit({ type: 'child-exit', name: this.name, pid: ended.pid, code, signal, restartInMs });
      if (refusal !== undefined) return this.#firstReady.reject(refusal);
      // a stop ends the wait early, and the loop with it
      if (!isLast) await clock.sleep(backoffMs, this.#stopping.signal).catch(() => undefined);
    }
  }

  async #runLife(): Promise<EndedLife> {
    const { spec, clock, log } = this.#options;
    const said = buildDeferred<Beginning>();
    const life = startChildLife(spec, this.#options.env(), (message) => {
      const heard = this.#hear(message);
      if (heard !== undefined) said.resolve(heard);
    });
    this.#life = life;
    const pid = life.pid ?? null;
    if (pid !== null) this.#emit({ type: 'child-start', name: this.name, pid });
    const beginning = await awaitBeginning(life, said.promise, spec, clock);
    if (beginning.type === 'failed' && !this.#stopping.signal.aborted) {
      // the reason for a first start's end is thrown, and told by whoever catches it
      if (this.#wasUp) log.error({ child: this.name, pid, err: beginning.error }, 'child cannot start again');
      this.#emit({ type: 'child-failed', name: this.name, pid, error: serializeError(beginning.error) });
      await endFailed(life, clock);
    }
    const exit = await life.exited;
    this.#life = undefined;
    this.#reported = {};
    return { beginning, exit, lastWords: life.lastWords(), pid };
  }

  /** How the life began, if the message says so. */
  #hear(message: ChildMessage): Beginning | undefined {
    if (message.type === 'failed') return { type: 'failed', error: deserializeError(message.error) };
    this.#reported = { ...this.#reported, ...message.pids };
    const pid = this.#life?.pid;
    if (pid === undefined) return undefined;
    const pids = this.pids();
    if (message.type === 'pids') {
      this.#emit({ type: 'child-pids', name: this.name, pid, pids });
      return undefined;
    }
    this.#wasUp = true;
    this.#options.log.info({ child: this.name, pid, pids }, 'child is ready');
    this.#options.onReady(message);
    this.#emit({ type: 'child-ready', name: this.name, pid, pids });
    this.#firstReady.resolve(message);
    return { type: 'ready' };
  }

  #emit(event: ChildEvent): void {
    this.#options.onEvent(event);
  }
}

/** Why the child is given up before it was ever up; undefined when another try may help. */
function refusalOf(name: string, ended: EndedLife, killedStarts: number): AppError | undefined {
  const { beginning, exit, lastWords } = ended;
  if (beginning.type === 'failed') return beginning.error;
  if (exit.signal !== null && killedStarts < maxKilledStarts) return undefined;
  const how = exit.signal === null ? `exit code ${exit.code}` : `${killedStarts} times by ${exit.signal}`;
  const words = lastWords === '' ? '' : `: ${lastWords}`;
  return new AppError('bug.invariant', `${name} ended before it was ready (${how})${words}`);
}
