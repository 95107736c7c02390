import { compareRank, compareUrgency, type Urgent } from './urgency.ts';

export interface Waiting extends Urgent {
  /** Equal for requests that share a prefix. */
  readonly prefixKey: string;
}

/** After so many requests in a row that were served for their warm prefix, the oldest gets its turn. */
const warmLimit = 64;

/**
 * Requests that are not admitted yet. Order: rank (priority, deadline), then those whose prefix is in a window already,
 * then arrival.
 */
export class WaitQueue<Item extends Waiting> {
  readonly #items: Item[] = [];
  #warmRun = 0;

  get size(): number {
    return this.#items.length;
  }

  get items(): readonly Item[] {
    return this.#items;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Takes an item out; false when it is not here. */
  remove(item: Item): boolean {
    const index = this.#items.indexOf(item);
    if (index < 0) return false;
    this.#items.splice(index, 1);
    return true;
  }

  /** Who is next, without taking it out. */
  peek(isWarm: (prefixKey: string) => boolean): Item | undefined {
    const oldest = this.#best(this.#items);
    if (oldest === undefined || this.#warmRun >= warmLimit) return oldest;
    const warm = this.#items.filter((item) => compareRank(item, oldest) === 0 && isWarm(item.prefixKey));
    return this.#best(warm) ?? oldest;
  }

  /** The item that `peek` gave is admitted. */
  take(item: Item): void {
    const overtook = this.#best(this.#items) !== item;
    this.#warmRun = overtook ? this.#warmRun + 1 : 0;
    this.remove(item);
  }

  #best(items: readonly Item[]): Item | undefined {
    return items.reduce<Item | undefined>(
      (best, item) => (best === undefined || compareUrgency(item, best) < 0 ? item : best),
      undefined,
    );
  }
}
