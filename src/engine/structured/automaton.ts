import type { Network, Rule } from './network.ts';

/** Where to go on when the rules that are open return, innermost first; null: nothing is open. */
interface Stack {
  readonly id: number;
  readonly returnTo: number;
  readonly parent: Stack | null;
  readonly children: Map<number, Stack>;
}

interface Position {
  readonly state: number;
  readonly stack: Stack;
}

/** All positions the text read so far may be at: a state of the deterministic automaton. */
export interface Node {
  /** Those that can eat a byte. */
  readonly positions: readonly Position[];
  /** The text is complete as it stands. */
  readonly accepting: boolean;
  /** Steps already taken, by byte; null: no text goes on so. */
  readonly next: Map<number, Node | null>;
}

/** More positions at once than any sensible grammar has: each ambiguous level of nesting doubles them. */
const maxPositions = 1024;
/** Nodes remembered before all are forgotten; those still in use live on. */
const maxNodes = 50_000;

/** Runs a pruned network by building the deterministic automaton as far as it is walked. */
export class Automaton {
  readonly #network: Network;
  readonly #onAmbiguous: () => Error;
  readonly #nodes = new Map<string, Node>();
  #stackTotal = 0;
  readonly initial: Node;

  /** @param onAmbiguous makes the error for a text that can be read in too many ways at once */
  constructor(network: Network, root: Rule, onAmbiguous: () => Error) {
    this.#network = network;
    this.#onAmbiguous = onAmbiguous;
    const bottom: Stack = { id: this.#stackTotal++, returnTo: -1, parent: null, children: new Map() };
    const node = this.#close([{ state: root.start, stack: bottom }]);
    this.initial = node ?? { positions: [], accepting: false, next: new Map() };
  }

  step(node: Node, byte: number): Node | null {
    const known = node.next.get(byte);
    if (known !== undefined) return known;
    const reached: Position[] = [];
    for (const { state, stack } of node.positions) {
      for (const { low, high, to } of this.#network.states[state]?.bytes ?? []) {
        if (low <= byte && byte <= high) reached.push({ state: to, stack });
      }
    }
    const next = reached.length === 0 ? null : this.#close(reached);
    node.next.set(byte, next);
    return next;
  }

  /** Follows everything that eats nothing: empty edges, calls, returns. */
  #close(reached: readonly Position[]): Node | null {
    const seen = new Set<string>();
    const pending = [...reached];
    const positions: (Position & { readonly key: string })[] = [];
    let accepting = false;
    for (let position = pending.pop(); position !== undefined; position = pending.pop()) {
      const { state, stack } = position;
      const key = `${state}.${stack.id}`;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > maxPositions) throw this.#onAmbiguous();
      if (this.#network.ends.has(state)) {
        if (stack.parent === null) accepting = true;
        else pending.push({ state: stack.returnTo, stack: stack.parent });
        continue;
      }
      const edges = this.#network.states[state];
      if (edges === undefined) continue;
      if (edges.bytes.length > 0) positions.push({ state, stack, key });
      for (const to of edges.empty) pending.push({ state: to, stack });
      for (const { rule, to } of edges.calls) pending.push({ state: rule.start, stack: this.#push(stack, to) });
    }
    if (positions.length === 0 && !accepting) return null;
    const key = `${accepting ? '+' : '-'}${positions.map((position) => position.key).sort()}`;
    return this.#intern(key, { positions, accepting, next: new Map() });
  }

  #push(stack: Stack, returnTo: number): Stack {
    let pushed = stack.children.get(returnTo);
    if (pushed === undefined) {
      pushed = { id: this.#stackTotal++, returnTo, parent: stack, children: new Map() };
      stack.children.set(returnTo, pushed);
    }
    return pushed;
  }

  #intern(key: string, node: Node): Node {
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    if (this.#nodes.size >= maxNodes) {
      this.#nodes.clear();
      // all others are reached through it
      this.initial.next.clear();
    }
    this.#nodes.set(key, node);
    return node;
  }
}
