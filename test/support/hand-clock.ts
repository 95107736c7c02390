import type { Clock } from '../../src/base/clock.ts';

/** Time that stands still until the test moves it; sleeps end when their time has come, or by their signal. */
export class HandClock implements Clock {
  #nowMs = 1_800_000_000_000;
  readonly #sleepers = new Set<{ readonly dueMs: number; readonly wake: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  /** How many sleep now, and would wake if time went on by so much. */
  sleepingUpTo(ms: number): number {
    return [...this.#sleepers].filter(({ dueMs }) => dueMs <= this.#nowMs + ms).length;
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const sleeper of [...this.#sleepers]) if (sleeper.dueMs <= this.#nowMs) sleeper.wake();
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const end = (): void => {
        this.#sleepers.delete(sleeper);
        signal?.removeEventListener('abort', abort);
      };
      const abort = (): void => {
        end();
        reject(signal?.reason);
      };
      const sleeper = {
        dueMs: this.#nowMs + ms,
        wake: () => {
          end();
          resolve();
        },
      };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }
}
