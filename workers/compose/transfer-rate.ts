/** A finished transfer weighs nine tenths of the one after it. */
const decay = 0.9;

/**
 * Bytes a second of transfers that overlap: what arrived, over the time in which any was under way. A transfer that
 * brought nothing does not count, and time in which only such ones were under way does not either.
 */
export class TransferRate {
  readonly #nowMs: () => number;
  #running = 0;
  #sinceMs = 0;
  #bytes = 0;
  #ms = 0;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Null until the first transfer that brought something has ended. */
  get bytesPerSecond(): number | null {
    return this.#bytes > 0 && this.#ms > 0 ? (1000 * this.#bytes) / this.#ms : null;
  }

  begin(): void {
    if (this.#running === 0) this.#sinceMs = this.#nowMs();
    this.#running++;
  }

  end(bytes: number): void {
    this.#running--;
    if (bytes === 0) return;
    const nowMs = this.#nowMs();
    this.#bytes = this.#bytes * decay + bytes;
    this.#ms = this.#ms * decay + nowMs - this.#sinceMs;
    this.#sinceMs = nowMs;
  }
}
