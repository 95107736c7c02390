import type { Clock } from '../base/clock.ts';
import { keys, type ObjectStore } from '../storage/index.ts';

/** Between two looks at the store's clock without any need: how long a clock set back can hold up an end. */
const checkedMs = 60_000;

/**
 * Time as the object store knows it. A machine's own clock may jump, and what ends by time (a batch's window, a file's
 * life) cannot be taken back; so the store has the last word.
 *
 * T1. Nothing is past before the store says so, however far our clock has jumped ahead.
 * T2. A clock that was set back is noticed at the next look at the store's, a minute of our sleeps later at most.
 */
export class StoreTime {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  /** Store minus ours. */
  #skewMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(store: ObjectStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Is this moment over? Costs two requests only when our own clock says yes. @throws `transient.*` */
  async isPast(atMs: number): Promise<boolean> {
    return this.nowMs() >= atMs && (await this.#look()) >= atMs;
  }

  /** Best guess without asking. */
  nowMs(): number {
    return this.#clock.nowMs() + this.#skewMs;
  }

  /** Asks once in a while, by our own clock or whenever that one ran backwards. @throws `transient.*` */
  async check(): Promise<void> {
    const sinceMs = this.#clock.nowMs() - this.#lastMs;
    if (sinceMs < 0 || sinceMs >= checkedMs) await this.#look();
  }

  async #look(): Promise<number> {
    await this.#store.put(keys.storeTime, new Uint8Array());
    const head = await this.#store.head(keys.storeTime);
    this.#lastMs = this.#clock.nowMs();
    if (head === undefined) return this.nowMs();
    this.#skewMs = head.lastModifiedMs - this.#lastMs;
    // stores keep whole seconds; less than that is no difference
    if (Math.abs(this.#skewMs) < 2_000) this.#skewMs = 0;
    return head.lastModifiedMs;
  }
}
