import type { Node, Stack } from './automaton.ts';
import type { StateClasses } from './state-classes.ts';

/** Classes remembered before all are forgotten. */
const maxNumbers = 16_384;

/**
 * Numbers for nodes that read the same: two nodes of one number let the same texts of up to `horizon` bytes through.
 * Where a rule cannot be left within the horizon, what lies behind it does not count.
 */
export class NodeClasses {
  readonly #states: StateClasses;
  readonly #shortest: Float64Array;
  readonly #horizon: number;
  readonly #numbers = new Map<string, number>();
  #next = 0;

  /** @param shortest of each state, the fewest bytes to the end of its rule */
  constructor(states: StateClasses, shortest: Float64Array, horizon: number) {
    this.#states = states;
    this.#shortest = shortest;
    this.#horizon = horizon;
  }

  find(node: Node): number {
    node.nodeClass ??= this.#number(node);
    return node.nodeClass;
  }

  #number(node: Node): number {
    const places = node.positions.map(({ state, stack }) => this.#write(state, stack));
    const key = [...new Set(places)].sort().join();
    let number = this.#numbers.get(key);
    if (number === undefined) {
      // a forgotten class gets another number when it comes again, so that no number ever has two meanings
      if (this.#numbers.size >= maxNumbers) this.#numbers.clear();
      number = this.#next++;
      this.#numbers.set(key, number);
    }
    return number;
  }

  #write(state: number, stack: Stack): string {
    let text = '';
    let [at, left, open] = [state, this.#horizon, stack];
    for (;;) {
      text += `${this.#states.representative(at, left)}:`;
      left -= this.#shortest[at] as number;
      if (left <= 0) return `${text}*`;
      if (open.parent === null) return text;
      [at, open] = [open.returnTo, open.parent];
    }
  }
}
