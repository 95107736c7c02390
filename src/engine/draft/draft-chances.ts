import { longestMatch } from './ngram-index.ts';

/** Matches are told apart by their length: 2, 3, 4–5, 6–9, and from 10 on. */
const classOf = Uint8Array.from({ length: longestMatch + 1 }, (_, length) =>
  length < 3 ? 0 : length < 4 ? 1 : length < 6 ? 2 : length < 10 ? 3 : 4,
);
const classTotal = 5;

/** What is believed before anything was tried. */
const firstChances = [0.25, 0.4, 0.55, 0.65, 0.7];

export interface ChanceOptions {
  /** Of one trial, what is left after the next one: 0.95 remembers the last 20 or so. */
  readonly kept: number;
  /** How many trials the first belief counts. */
  readonly firstWeight: number;
  /** Whose chances are the first belief; left out: fixed ones. */
  readonly parent?: DraftChances;
}

/** How likely the next drafted token is right, by the length of the match: from trials, the recent ones above all. */
export class DraftChances {
  readonly #options: ChanceOptions;
  readonly #hits = new Float64Array(classTotal);
  readonly #misses = new Float64Array(classTotal);

  constructor(options: ChanceOptions) {
    this.#options = options;
  }

  /** @param length of a match */
  of(length: number): number {
    return this.#ofClass(classOf[length] ?? 0);
  }

  /** @param hits tokens that were right, before the one that was not, if there was one. */
  note(length: number, hits: number, hasMissed: boolean): void {
    const index = classOf[length] ?? 0;
    const misses = hasMissed ? 1 : 0;
    const kept = this.#options.kept ** (hits + misses);
    this.#hits[index] = (this.#hits[index] ?? 0) * kept + hits;
    this.#misses[index] = (this.#misses[index] ?? 0) * kept + misses;
    this.#options.parent?.note(length, hits, hasMissed);
  }

  #ofClass(index: number): number {
    const { parent, firstWeight } = this.#options;
    const first = parent === undefined ? (firstChances[index] ?? 0) : parent.#ofClass(index);
    const hits = this.#hits[index] ?? 0;
    return (hits + firstWeight * first) / (hits + (this.#misses[index] ?? 0) + firstWeight);
  }
}
