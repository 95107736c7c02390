import { type ByteClasses, findByteClasses } from './byte-classes.ts';
import type { Network, Rule } from './network.ts';

/** Where to go on when the rules that are open return, innermost first; null: nothing is open. */
export interface Stack {
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
  /** Steps already taken, by byte class; null: no text goes on so. */
  readonly next: (Node | null | undefined)[];
  /** Given by `NodeClasses`, null before. */
  nodeClass: number | null;
  /** What `FreeText` has found out: at least so much plain text is free, exactly so much; none follows after so much. */
  readonly free: { characters: number; isExact: boolean; closedAfter: number | null };
}

/** More positions at once than any sensible grammar has: each ambiguous level of nesting doubles them. */
const maxPositions = 1024;
/** Nodes remembered before all are forgotten; those still in use live on. */
const maxNodes = 8_192;

/** Runs a pruned network by building the deterministic automaton as far as it is walked. */
export class Automaton {
  /** Makes the error for a text that can be read in too many ways at once. */
  readonly onAmbiguous: () => Error;
  readonly #network: Network;
  readonly #byteClasses: ByteClasses;
  readonly #nodes = new Map<string, Node>();
  readonly #root: Rule;
  #stackTotal = 0;
  #work = 0;
  #initial: Node;

  constructor(network: Network, root: Rule, onAmbiguous: () => Error) {
    this.#network = network;
    this.onAmbiguous = onAmbiguous;
    this.#byteClasses = findByteClasses(network.states);
    this.#root = root;
    this.#initial = this.#open();
  }

  get initial(): Node {
    return this.#initial;
  }

  get nodeTotal(): number {
    return this.#nodes.size;
  }

  /** Positions looked at so far for steps that were not known: what time is spent on. */
  get work(): number {
    return this.#work;
  }

  get byteClasses(): ByteClasses {
    return this.#byteClasses;
  }

  step(node: Node, byte: number): Node | null {
    const byteClass = this.#byteClasses.of[byte] as number;
    const known = node.next[byteClass];
    return known === undefined ? this.#advance(node, byte, byteClass) : known;
  }

  /** A byte of each edge that leads on. */
  listBytes(node: Node): readonly number[] {
    const edges = node.positions.flatMap(({ state }) => this.#network.states[state]?.bytes ?? []);
    return [...new Set(edges.map(({ low }) => low))].sort((a, b) => a - b);
  }

  #open(): Node {
    const bottom: Stack = { id: this.#stackTotal++, returnTo: -1, parent: null, children: new Map() };
    const node = this.#close([{ state: this.#root.start, stack: bottom }]);
    return node ?? buildNode([], false);
  }

  #advance(node: Node, byte: number, byteClass: number): Node | null {
    const reached: Position[] = [];
    for (const { state, stack } of node.positions) {
      for (const { low, high, to } of this.#network.states[state]?.bytes ?? []) {
        if (low <= byte && byte <= high) reached.push({ state: to, stack });
      }
    }
    const next = reached.length === 0 ? null : this.#close(reached);
    node.next[byteClass] = next;
    return next;
  }

  /** Follows everything that eats nothing: empty edges, calls, returns. */
  #close(reached: readonly Position[]): Node | null {
    const seen = new Set<number>();
    const pending = [...reached];
    const positions: Position[] = [];
    const keys: number[] = [];
    let accepting = false;
    for (let position = pending.pop(); position !== undefined; position = pending.pop()) {
      const { state, stack } = position;
      const key = stack.id * this.#network.states.length + state;
      if (seen.has(key)) continue;
      seen.add(key);
      if (seen.size > maxPositions) throw this.onAmbiguous();
      if (this.#network.ends.has(state)) {
        if (stack.parent === null) accepting = true;
        else pending.push({ state: stack.returnTo, stack: stack.parent });
        continue;
      }
      const edges = this.#network.states[state];
      if (edges === undefined) continue;
      if (edges.bytes.length > 0) {
        positions.push(position);
        keys.push(key);
      }
      for (const to of edges.empty) pending.push({ state: to, stack });
      for (const { rule, to } of edges.calls) pending.push({ state: rule.start, stack: this.#push(stack, to) });
    }
    this.#work += seen.size;
    if (positions.length === 0 && !accepting) return null;
    const key = `${accepting ? '+' : '-'}${keys.sort((a, b) => a - b)}`;
    return this.#intern(key, buildNode(positions, accepting));
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
    if (this.#nodes.size >= maxNodes) this.#forget();
    this.#nodes.set(key, node);
    return node;
  }

  /** The old nodes, and the stacks below them, go with the last answer that stands on one of them. */
  #forget(): void {
    this.#nodes.clear();
    this.#initial = this.#open();
  }
}

function buildNode(positions: readonly Position[], accepting: boolean): Node {
  const free = { characters: 0, isExact: false, closedAfter: null };
  return { positions, accepting, next: [], nodeClass: null, free };
}
