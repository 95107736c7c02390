/**
 * A recursive transition network over bytes: states with edges that eat a byte, eat nothing, or call a rule and go on
 * behind it. It is what a grammar is compiled to; `automaton.ts` runs it.
 *
 * N1. Reaching a rule's `end` returns to where it was called; `end` has no edges of its own.
 * N2. After `prune`, from every state that an edge leads to, some finite text completes the rule.
 * N3. The copies of a chain are alike: an edge of one leads inside it, to where the next copy begins, or to a place
 *     that all of them share.
 */

export interface Rule {
  readonly start: number;
  readonly end: number;
}

export interface ByteEdge {
  /** First and last byte that the edge eats. */
  readonly low: number;
  readonly high: number;
  readonly to: number;
}

interface CallEdge {
  readonly rule: Rule;
  readonly to: number;
}

export interface State {
  readonly bytes: readonly ByteEdge[];
  readonly empty: readonly number[];
  readonly calls: readonly CallEdge[];
}

interface OpenState extends State {
  bytes: ByteEdge[];
  empty: number[];
  calls: CallEdge[];
}

/**
 * Copies of one part in a row. Copy n has the states [base + n · stride, base + (n + 1) · stride); the first of them is
 * where n + 1 repetitions are done.
 */
export interface Chain {
  /** Where the first copy begins; no state of the chain. */
  readonly from: number;
  readonly base: number;
  readonly stride: number;
  readonly copies: number;
  /** Repetitions before the chain may be left. */
  readonly min: number;
  /** No more repetitions than copies? Otherwise a loop follows the last one. */
  readonly isBounded: boolean;
}

/** Adds paths between two states, which read exactly what the fragment stands for. */
export type Fragment = (network: Network, from: number, to: number) => void;

export class Network {
  readonly #states: OpenState[] = [];
  readonly ends = new Set<number>();
  readonly chains: Chain[] = [];
  readonly #maxStates: number;
  readonly #onOverflow: () => Error;

  /** @param onOverflow makes the error that is thrown when there would be more than `maxStates` states */
  constructor(maxStates: number, onOverflow: () => Error) {
    this.#maxStates = maxStates;
    this.#onOverflow = onOverflow;
  }

  get states(): readonly State[] {
    return this.#states;
  }

  addState(): number {
    if (this.#states.length >= this.#maxStates) throw this.#onOverflow();
    return this.#states.push({ bytes: [], empty: [], calls: [] }) - 1;
  }

  addBytes(from: number, low: number, high: number, to: number): void {
    this.#state(from).bytes.push({ low, high, to });
  }

  addEmpty(from: number, to: number): void {
    this.#state(from).empty.push(to);
  }

  addCall(from: number, rule: Rule, to: number): void {
    this.#state(from).calls.push({ rule, to });
  }

  /** A rule without content yet, so that it can be called inside itself. */
  addRule(): Rule {
    const rule = { start: this.addState(), end: this.addState() };
    this.ends.add(rule.end);
    return rule;
  }

  /** Copies that are not alike are no chain and left out. */
  addChain(chain: Chain): void {
    this.chains.push(chain);
  }

  /**
   * Drops every edge that no finite text can follow to the end of its rule.
   * @param shortest of each state, as `findShortest` gives it
   */
  prune(shortest: Float64Array): void {
    const isLive = (state: number): boolean => (shortest[state] ?? Number.POSITIVE_INFINITY) < Number.POSITIVE_INFINITY;
    for (const state of this.#states) {
      state.bytes = state.bytes.filter(({ to }) => isLive(to));
      state.empty = state.empty.filter(isLive);
      state.calls = state.calls.filter(({ rule, to }) => isLive(rule.start) && isLive(to));
    }
  }

  #state(index: number): OpenState {
    return this.#states[index] as OpenState;
  }
}
