import type { Clock } from '../../base/clock.ts';

/** Wakes one waiter; a ring while nobody waits is kept for the next. */
export class Bell {
  readonly #clock: Clock;
  #isRung = false;
  #wake = (): void => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#isRung = true;
    this.#wake();
  }

  /** @returns whether it rang in time @throws the signal's reason when it aborts */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    if (!this.#isRung) {
      const early = new AbortController();
      this.#wake = () => early.abort();
      await this.#clock.sleep(ms, AbortSignal.any([signal, early.signal])).catch(() => {});
      signal.throwIfAborted();
    }
    const isRung = this.#isRung;
    this.#isRung = false;
    return isRung;
  }
}
