import type { Automaton, Node } from './automaton.ts';
import { plainEncodings } from './plain-text.ts';

/** Longer runs are not worth the steps it takes to prove that they are free: few tokens are longer. */
const maxCharacters = 32;

/** Work of the automaton that a proof may take; one of 32 characters in a counted string takes 10,000. */
const maxWork = 64_000;

export interface FreeRun {
  /** Every plain text of so many characters may follow, and every beginning of one. */
  readonly characters: number;
  /** And none of more. */
  readonly isClosed: boolean;
}

/**
 * How much plain text may follow a node, whatever it is: inside a string, as much as it has room for. That settles all
 * tokens of plain text at once, and what lies behind the string does not matter for them.
 */
export class FreeText {
  readonly #automaton: Automaton;
  /** Of each encoding and each byte of it, one value of each class that the automaton tells apart. */
  readonly #encodings: readonly (readonly (readonly number[])[])[];
  #mostWork = 0;

  constructor(automaton: Automaton) {
    this.#automaton = automaton;
    const { of } = automaton.byteClasses;
    const pickBytes = ([low, high]: readonly [number, number]): readonly number[] => {
      const byClass = new Map<number, number>();
      for (let byte = low; byte <= high; byte++) byClass.set(of[byte] as number, byte);
      return [...byClass.values()];
    };
    this.#encodings = plainEncodings.map((ranges) => ranges.map(pickBytes));
  }

  measure(node: Node): FreeRun {
    this.#mostWork = this.#automaton.work + maxWork;
    const characters = this.#count(node, maxCharacters);
    const isClosed = characters < maxCharacters && this.#isClosed(node, characters);
    // what is not proven is not free
    return this.#isSpent ? { characters: 0, isClosed: false } : { characters, isClosed };
  }

  get #isSpent(): boolean {
    return this.#automaton.work > this.#mostWork;
  }

  #count(node: Node, limit: number): number {
    const { free } = node;
    if (free.isExact || free.characters >= limit) return Math.min(free.characters, limit);
    let least = limit;
    for (const encoding of this.#encodings) {
      this.#visit(node, encoding, 0, (next) => {
        least = next === null ? 0 : Math.min(least, 1 + this.#count(next, least - 1));
        return least > 0;
      });
    }
    if (this.#isSpent) return 0;
    free.characters = least;
    free.isExact = least < limit;
    return least;
  }

  /** No plain character can begin once so many have been read. */
  #isClosed(node: Node, characters: number): boolean {
    const { free } = node;
    if (free.closedAfter !== characters) {
      const isClosed =
        characters === 0
          ? this.#encodings.every(([first = []]) => first.every((byte) => this.#automaton.step(node, byte) === null))
          : this.#encodings.every((encoding) =>
              this.#visit(node, encoding, 0, (next) => next !== null && this.#isClosed(next, characters - 1)),
            );
      if (this.#isSpent) return false;
      free.closedAfter = isClosed ? characters : null;
    }
    return free.closedAfter === characters;
  }

  /**
   * Calls `use` with the node behind each form of an encoding, or null where it cannot be read, while it returns true.
   * @returns whether it always did
   */
  #visit(
    node: Node,
    encoding: readonly (readonly number[])[],
    index: number,
    use: (next: Node | null) => boolean,
  ): boolean {
    const bytes = encoding[index];
    if (bytes === undefined) return use(node);
    for (const byte of bytes) {
      if (this.#isSpent) return false;
      const next = this.#automaton.step(node, byte);
      if (next === null ? !use(null) : !this.#visit(next, encoding, index + 1, use)) return false;
    }
    return true;
  }
}
