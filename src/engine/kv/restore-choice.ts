import type { RestoreStats } from '../messages.ts';
import { blockRows } from '../ports.ts';

/** A line that was slow a minute ago is tried again. */
const bandwidthLivesMs = 60_000;
/** Each chunk of prefill weighs a twentieth: the rate follows what the engine does now. */
const prefillDecay = 0.95;

/**
 * Reads a page from the object store, or computes it? Whatever is faster by what was measured; while one of the two
 * rates is not known, reading: a fresh process has the most to gain from it, and learns the rate.
 */
export class RestoreChoice {
  readonly #pageBytes: number;
  readonly #nowMs: () => number;
  #tokens = 0;
  #ms = 0;
  #bandwidth: { readonly bytesPerSecond: number; readonly measuredMs: number } | null = null;

  /** @param pageBytes of a page's file */
  constructor(pageBytes: number, nowMs: () => number) {
    this.#pageBytes = pageBytes;
    this.#nowMs = nowMs;
  }

  /** A chunk of a prefix was computed. */
  notePrefill(tokens: number, ms: number): void {
    this.#tokens = this.#tokens * prefillDecay + tokens;
    this.#ms = this.#ms * prefillDecay + ms;
  }

  noteBandwidth(bytesPerSecond: number): void {
    this.#bandwidth = { bytesPerSecond, measuredMs: this.#nowMs() };
  }

  get prefersReading(): boolean {
    const { bytesPerSecond, prefillTokensPerSecond } = this.rates();
    if (bytesPerSecond === null || prefillTokensPerSecond === null) return true;
    return this.#pageBytes / bytesPerSecond < blockRows / prefillTokensPerSecond;
  }

  rates(): Omit<RestoreStats, 'declined'> {
    const bandwidth = this.#bandwidth;
    const isFresh = bandwidth !== null && this.#nowMs() - bandwidth.measuredMs < bandwidthLivesMs;
    return {
      bytesPerSecond: isFresh ? bandwidth.bytesPerSecond : null,
      prefillTokensPerSecond: this.#ms > 0 ? (1000 * this.#tokens) / this.#ms : null,
    };
  }
}
