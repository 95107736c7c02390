/**
 * A recursive transition network over bytes: states with edges that eat a byte, eat nothing, or call a rule and go on
 * behind it. It is what a grammar is compiled to; `automaton.ts` runs it.
 *
 * N1. Reaching a rule's `end` returns to where it was called; `end` has no edges of its own.
 * N2. After `prune`, from every state that an edge leads to, some finite text completes the rule.
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

interface State {
  bytes: ByteEdge[];
  empty: number[];
  calls: CallEdge[];
}

/** Adds paths between two states, which read exactly what the fragment stands for. */
export type Fragment = (network: Network, from: number, to: number) => void;

export class Network {
  readonly states: State[] = [];
  readonly ends = new Set<number>();
  readonly #maxStates: number;
  readonly #onOverflow: () => Error;

  /** @param onOverflow makes the error that is thrown when there would be more than `maxStates` states */
  constructor(maxStates: number, onOverflow: () => Error) {
    this.#maxStates = maxStates;
    this.#onOverflow = onOverflow;
  }

  addState(): number {
    if (this.states.length >= this.#maxStates) throw this.#onOverflow();
    return this.states.push({ bytes: [], empty: [], calls: [] }) - 1;
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

  /** Drops every edge that no finite text can follow to the end of its rule. Returns whether `root` matches anything. */
  prune(root: Rule): boolean {
    const live = this.#findLive();
    for (const state of this.states) {
      state.bytes = state.bytes.filter(({ to }) => live.has(to));
      state.empty = state.empty.filter((to) => live.has(to));
      state.calls = state.calls.filter(({ rule, to }) => live.has(rule.start) && live.has(to));
    }
    return live.has(root.start);
  }

  /** Least fixed point: a state lives when it is an end, or an edge leads to a living state through a living rule. */
  #findLive(): ReadonlySet<number> {
    const live = new Set<number>(this.ends);
    for (let before = -1; before !== live.size; ) {
      before = live.size;
      // edges mostly lead forward, so going backward settles most states in one pass
      for (let index = this.states.length - 1; index >= 0; index--) {
        if (!live.has(index) && isLive(this.#state(index), live)) live.add(index);
      }
    }
    return live;
  }

  #state(index: number): State {
    return this.states[index] as State;
  }
}

function isLive({ bytes, empty, calls }: State, live: ReadonlySet<number>): boolean {
  return (
    bytes.some(({ to }) => live.has(to)) ||
    empty.some((to) => live.has(to)) ||
    calls.some(({ rule, to }) => live.has(rule.start) && live.has(to))
  );
}
