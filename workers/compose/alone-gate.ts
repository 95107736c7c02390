/**
 * Lets lines run side by side, and one that is suspected of ending its worker run with nothing beside it: what happens
 * then has one culprit.
 *
 * A1. While one is alone, or waits for that, no other begins; those that run come to their end first.
 * A2. Whoever waits to be alone and is stopped lets the others go on.
 */
export class AloneGate {
  #beside = 0;
  #alone: Promise<void> | null = null;
  #onEmpty: () => void = () => {};

  async beside<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#alone !== null) await this.#alone;
    this.#beside += 1;
    try {
      return await work();
    } finally {
      this.#beside -= 1;
      if (this.#beside === 0) this.#onEmpty();
    }
  }

  /** @throws the signal's reason when it aborts before the work begins */
  async alone<Result>(work: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
    while (this.#alone !== null) await this.#alone;
    let free = (): void => {};
    this.#alone = new Promise((resolve) => {
      free = resolve;
    });
    try {
      if (this.#beside > 0) await this.#untilEmpty(signal);
      signal.throwIfAborted();
      return await work();
    } finally {
      this.#alone = null;
      free();
    }
  }

  #untilEmpty(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
  }
}
