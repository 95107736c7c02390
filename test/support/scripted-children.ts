import type { Clock } from '../../src/base/clock.ts';
import type { ChildSpec } from '../../src/local/child-spec.ts';
import type { SupervisorEvent } from '../../src/local/supervisor-events.ts';

/** Says "ready" and stays until the channel or a SIGTERM ends it, as every child of the supervisor does. */
export const steadyScript = `
  process.on('disconnect', () => process.exit(0));
  process.on('SIGTERM', () => process.exit(0));
  process.send({ type: 'ready' });
`;

/** A real process with a few lines of plain JavaScript as its program: up in about 40 ms. */
export function scriptedChild(name: string, script: string, options: Partial<ChildSpec> = {}): ChildSpec {
  return {
    name,
    command: process.execPath,
    args: ['--eval', script],
    env: {},
    stop: 'sigterm',
    readyTimeoutMs: 60_000,
    ...options,
  };
}

/** Events in the order they came, and a way to wait for one without polling. */
export class EventLog {
  readonly events: SupervisorEvent[] = [];
  readonly #waiting = new Set<() => void>();

  readonly add = (event: SupervisorEvent): void => {
    this.events.push(event);
    for (const look of this.#waiting) look();
  };

  /** The `count`th event of this type and child, past or to come. */
  waitFor<Type extends SupervisorEvent['type']>(
    type: Type,
    name?: string,
    count = 1,
  ): Promise<Extract<SupervisorEvent, { type: Type }>> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = this.events.filter(
          (event): event is Extract<SupervisorEvent, { type: Type }> =>
            event.type === type && (name === undefined || ('name' in event && event.name === name)),
        );
        const wanted = found[count - 1];
        if (wanted === undefined) return;
        this.#waiting.delete(look);
        resolve(wanted);
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** `type name` of every event, phases as their own name: the states in order. */
  get story(): readonly string[] {
    return this.events.map((event) => (event.type === 'phase' ? event.phase : `${event.type} ${event.name}`));
  }
}

interface Sleeper {
  readonly ms: number;
  readonly wake: () => void;
}

/** Time that stands still: a sleep ends when the test says so, or by its signal. */
export class StillClock implements Clock {
  readonly sleeps: number[] = [];
  #nowMs = 0;
  readonly #sleepers = new Set<Sleeper>();
  readonly #waiting = new Set<() => void>();

  nowMs(): number {
    return this.#nowMs;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    this.sleeps.push(ms);
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const sleeper = { ms, wake: resolve };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', () => {
        this.#sleepers.delete(sleeper);
        reject(signal.reason);
      });
      for (const look of this.#waiting) look();
    });
  }

  /** Ends the sleep of this length as soon as there is one. */
  async wake(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const look = (): void => {
        const sleeper = [...this.#sleepers].find((one) => one.ms === ms);
        if (sleeper === undefined) return;
        this.#waiting.delete(look);
        this.#sleepers.delete(sleeper);
        sleeper.wake();
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }
}
