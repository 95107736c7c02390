/**
 * Children started in the order of their dependencies, kept alive, and stopped in the opposite order.
 *
 * S1  Resolves when all are ready; the first one that cannot start stops the others, and its error is the outcome.
 * S2  Draining: a child is asked to finish when everything that depends on it has ended. What is left after the grace
 *     time, or after a second request, is killed with all it started.
 * S3  Every child leads a process group of its own and holds an IPC channel to this process: whatever way this process
 *     ends, the channel ends, and the children end themselves.
 */
import { type Clock, systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import { lifecycle } from '../base/lifecycle.contract.ts';
import type { Logger } from '../base/log.ts';
import type { ReadyMessage } from './child-messages.contract.ts';
import { type ChildSpec, checkChildGraph, planStopsBefore, type ReadyChildren } from './child-spec.ts';
import { SupervisedChild } from './supervised-child.ts';
import type { Pids, SupervisorEvent, SupervisorPhase } from './supervisor-events.ts';

export interface SupervisorOptions {
  readonly children: readonly ChildSpec[];
  readonly log: Logger;
  readonly onEvent?: (event: SupervisorEvent) => void;
  /** Aborting it is `stop()`, also while the start is still going on. */
  readonly stopSignal?: AbortSignal;
  /** Aborting it is `stop({ force: true })`. */
  readonly forceSignal?: AbortSignal;
  /** From the request to stop until the rest is killed. @defaultValue `lifecycle.forceMs`: a worker needs its grace time, the others milliseconds */
  readonly forceMs?: number;
  readonly clock?: Clock;
}

export interface StopOptions {
  /** Kill at once instead of waiting. */
  readonly force?: boolean;
}

export interface Supervisor {
  /** What each child said when it last became ready. */
  readonly ready: ReadyChildren;
  /** Resolves when the last child has ended after a stop, and says whether any had to be killed; never rejects. */
  readonly stopped: Promise<{ readonly forced: boolean }>;
  /** All processes alive now, those the children told of among them. */
  pids(): Pids;
  /** Resolves when no process is left. May be called again, to force. */
  stop(options?: StopOptions): Promise<void>;
}

/**
 * Starts all children and resolves when they are ready.
 * @throws the error of the first child that cannot start, after all others have ended; `cancelled.shutdown` when stopped
 *   meanwhile
 */
export async function openSupervisor(options: SupervisorOptions): Promise<Supervisor> {
  checkChildGraph(options.children);
  const run = new SupervisorRun(options);
  const stop = (): void => void run.stop();
  const force = (): void => void run.stop({ force: true });
  options.stopSignal?.addEventListener('abort', stop, { once: true });
  options.forceSignal?.addEventListener('abort', force, { once: true });
  if (options.stopSignal?.aborted || options.forceSignal?.aborted) {
    throw new AppError('cancelled.shutdown', 'stopped before anything was started');
  }
  await run.start();
  return { ready: run.ready, stopped: run.stopped, pids: () => run.pids(), stop: (how) => run.stop(how) };
}

class SupervisorRun {
  readonly ready = new Map<string, ReadyMessage>();
  readonly stopped: Promise<{ readonly forced: boolean }>;
  readonly #options: SupervisorOptions;
  readonly #clock: Clock;
  readonly #children: ReadonlyMap<string, SupervisedChild>;
  readonly #starts = new Map<string, Promise<ReadyMessage>>();
  readonly #stops = new Map<string, Promise<void>>();
  #drain: Promise<void> | undefined;
  #forced = false;
  #resolveStopped: (how: { readonly forced: boolean }) => void = () => undefined;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#children = new Map(options.children.map((spec) => [spec.name, this.#buildChild(spec)]));
    this.stopped = new Promise((resolve) => {
      this.#resolveStopped = resolve;
    });
  }

  async start(): Promise<void> {
    this.#enter('starting');
    const starts = this.#options.children.map((spec) => this.#startInOrder(spec));
    try {
      await Promise.all(starts);
    } catch (error) {
      await this.stop();
      await Promise.allSettled(starts);
      throw error;
    }
    // a stop that came with the last "ready" has the last word
    if (this.#drain !== undefined) {
      await this.#drain;
      throw new AppError('cancelled.shutdown', 'stopped while starting');
    }
    this.#enter('running');
  }

  pids(): Pids {
    return Object.assign({}, ...[...this.#children.values()].map((child) => child.pids()));
  }

  stop(how: StopOptions = {}): Promise<void> {
    this.#drain ??= this.#runDrain();
    if (how.force === true) this.#killAll();
    return this.#drain;
  }

  #buildChild(spec: ChildSpec): SupervisedChild {
    const { env } = spec;
    return new SupervisedChild({
      spec,
      env: typeof env === 'function' ? () => env(this.ready) : () => env,
      onReady: (message) => this.ready.set(spec.name, message),
      onEvent: (event) => this.#options.onEvent?.(event),
      log: this.#options.log,
      clock: this.#clock,
    });
  }

  #startInOrder(spec: ChildSpec): Promise<ReadyMessage> {
    const known = this.#starts.get(spec.name);
    if (known !== undefined) return known;
    const dependencies = this.#options.children.filter(({ name }) => spec.dependsOn?.includes(name));
    const start = Promise.all(dependencies.map((other) => this.#startInOrder(other))).then(() =>
      this.#childOf(spec.name).start(),
    );
    this.#starts.set(spec.name, start);
    return start;
  }

  async #runDrain(): Promise<void> {
    this.#enter('draining');
    const over = new AbortController();
    const forceMs = this.#options.forceMs ?? lifecycle.forceMs;
    this.#clock.sleep(forceMs, over.signal).then(
      () => {
        this.#options.log.warn({ forceMs, pids: this.pids() }, 'children did not finish in time and are killed');
        this.#killAll();
      },
      () => undefined,
    );
    await Promise.all(this.#options.children.map(({ name }) => this.#stopInOrder(name)));
    over.abort();
    this.#enter('stopped');
    this.#resolveStopped({ forced: this.#forced });
  }

  #stopInOrder(name: string): Promise<void> {
    const known = this.#stops.get(name);
    if (known !== undefined) return known;
    const before = planStopsBefore(this.#options.children, name);
    const stop = Promise.all(before.map((other) => this.#stopInOrder(other))).then(() => this.#childOf(name).stop());
    this.#stops.set(name, stop);
    return stop;
  }

  #killAll(): void {
    if (Object.keys(this.pids()).length === 0) return;
    this.#forced = true;
    for (const child of this.#children.values()) child.kill();
  }

  #childOf(name: string): SupervisedChild {
    const child = this.#children.get(name);
    invariant(child !== undefined, `there is a child ${name}`);
    return child;
  }

  #enter(phase: SupervisorPhase): void {
    this.#options.log.debug({ phase }, 'supervisor phase');
    this.#options.onEvent?.({ type: 'phase', phase });
  }
}
