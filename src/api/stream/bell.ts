import type { Clock } from '../../base/clock.ts';

/** Wakes one waiter; a ring while nobody waits is kept for the next. */
export class Bell {
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #isRung = false;
  #wake = (): void => {};

  /** @param signal ends all waiting; heard once for all waits, since there are as many as pieces of an answer */
  constructor(clock: Clock, signal: AbortSignal) {
    this.#clock = clock;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake(), { once: true });
  }

  ring(): void {
    this.#isRung = true;
    this.#wake();
  }

  /** @returns whether it rang in time @throws the signal's reason when it aborts */
  async wait(ms: number): Promise<boolean> {
    this.#signal.throwIfAborted();
    if (!this.#isRung) {
      const early = new AbortController();
      this.#wake = () => early.abort();
      await this.#clock.sleep(ms, early.signal).catch(() => {});
      this.#signal.throwIfAborted();
    }
    const isRung = this.#isRung;
    this.#isRung = false;
    return isRung;
  }
}
