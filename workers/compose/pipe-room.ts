/** Follows one direction of a process channel, which keeps in memory what its pipe does not take. */
export class PipeRoom {
  readonly #onDrain: () => void;
  #unsent = 0;
  #isFull = false;

  constructor(onDrain: () => void = () => {}) {
    this.#onDrain = onDrain;
  }

  get hasRoom(): boolean {
    return !this.#isFull;
  }

  /** @param send puts one message into the channel, calls back when it is written, and returns whether there is room */
  send(send: (written: () => void) => boolean): boolean {
    this.#unsent += 1;
    if (!send(() => this.#written())) this.#isFull = true;
    return !this.#isFull;
  }

  /** Also called for a message that could not be written: it takes no room either. */
  #written(): void {
    this.#unsent -= 1;
    if (this.#unsent > 0 || !this.#isFull) return;
    this.#isFull = false;
    this.#onDrain();
  }
}
