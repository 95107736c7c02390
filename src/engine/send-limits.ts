import type { Clock } from '../base/clock.ts';
import type { EngineStats, GenerateProgress } from './messages.ts';

const progressMs = 250;
const progressWindowMs = 1_000;
const statsMs = 1_000;

/**
 * Lets through at most four reports a second of one request: one every 250 ms, or earlier when its phase changes.
 * What is held back is not sent later: the next report, or the end, says more.
 */
export class ProgressLimit {
  /** Times of the last four reports, oldest first. */
  readonly #sentMs: number[] = [];
  #phase: GenerateProgress['phase'] | null = null;

  allows(phase: GenerateProgress['phase'], nowMs: number): boolean {
    const [oldest = Number.NEGATIVE_INFINITY] = this.#sentMs.length === 4 ? this.#sentMs : [];
    const last = this.#sentMs.at(-1) ?? Number.NEGATIVE_INFINITY;
    const isDue = nowMs - last >= progressMs || phase !== this.#phase;
    if (!isDue || nowMs - oldest < progressWindowMs) return false;
    if (this.#sentMs.length === 4) this.#sentMs.shift();
    this.#sentMs.push(nowMs);
    this.#phase = phase;
    return true;
  }
}

/** Sends statistics at most once a second, when they differ from those sent last. A timer runs only while there is news. */
export class StatsReporter {
  readonly #clock: Clock;
  readonly #read: () => EngineStats;
  readonly #send: (stats: EngineStats) => boolean;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #sent = '';
  #isWaiting = false;

  /** @param send false when it could not: the numbers are tried again a second later. */
  constructor(clock: Clock, read: () => EngineStats, send: (stats: EngineStats) => boolean) {
    this.#clock = clock;
    this.#read = read;
    this.#send = send;
  }

  /** Something happened that may have changed the numbers. */
  touch(): void {
    if (this.#isWaiting) return;
    const waitMs = this.#lookedMs + statsMs - this.#clock.nowMs();
    if (waitMs <= 0) {
      this.#look();
      return;
    }
    this.#isWaiting = true;
    void this.#clock.sleep(waitMs).then(() => {
      this.#isWaiting = false;
      this.#look();
    });
  }

  #look(): void {
    this.#lookedMs = this.#clock.nowMs();
    const stats = this.#read();
    const text = JSON.stringify(stats);
    if (text === this.#sent) return;
    if (this.#send(stats)) this.#sent = text;
    else this.touch();
  }
}
