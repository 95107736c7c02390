import type { Automaton, Node } from './automaton.ts';

/**
 * All tokens as a trie in depth-first order, so that one walk over it beside the automaton finds every token that can
 * come next: a subtree whose first byte does not fit is skipped as a whole.
 */
export class TokenTrie {
  /** Of each trie node: its byte, its depth from 1, the index behind its subtree, and its tokens in `#tokens`. */
  readonly #bytes: Uint8Array;
  readonly #depths: Uint16Array;
  readonly #subtreeEnds: Int32Array;
  readonly #tokenStarts: Int32Array;
  readonly #tokens: Int32Array;
  readonly vocabularySize: number;

  /** Tokens without bytes are left out: no text leads to them. */
  constructor(vocabularySize: number, tokenBytes: (id: number) => Uint8Array) {
    this.vocabularySize = vocabularySize;
    const sorted = Array.from({ length: vocabularySize }, (_, id) => ({ id, bytes: Buffer.from(tokenBytes(id)) }))
      .filter(({ bytes }) => bytes.length > 0)
      .sort((a, b) => Buffer.compare(a.bytes, b.bytes) || a.id - b.id);
    const nodes: { byte: number; depth: number; end: number; tokens: number[] }[] = [];
    const path: number[] = [];
    let previous = Buffer.alloc(0);
    for (const { id, bytes } of sorted) {
      const shared = sharedPrefix(previous, bytes);
      for (const closed of path.splice(shared)) endSubtree(nodes[closed], nodes.length);
      for (let depth = shared; depth < bytes.length; depth++) {
        path.push(nodes.push({ byte: bytes[depth] ?? 0, depth: depth + 1, end: 0, tokens: [] }) - 1);
      }
      nodes[path.at(-1) ?? 0]?.tokens.push(id);
      previous = bytes;
    }
    for (const open of path) endSubtree(nodes[open], nodes.length);
    this.#bytes = Uint8Array.from(nodes, ({ byte }) => byte);
    this.#depths = Uint16Array.from(nodes, ({ depth }) => depth);
    this.#subtreeEnds = Int32Array.from(nodes, ({ end }) => end);
    this.#tokens = Int32Array.from(nodes.flatMap(({ tokens }) => tokens));
    this.#tokenStarts = new Int32Array(nodes.length + 1);
    for (const [index, { tokens }] of nodes.entries()) {
      this.#tokenStarts[index + 1] = (this.#tokenStarts[index] ?? 0) + tokens.length;
    }
  }

  /** One bit a token, set when all its bytes can follow `start`. */
  findAllowed(automaton: Automaton, start: Node): Uint32Array {
    const allowed = new Uint32Array(Math.ceil(this.vocabularySize / 32));
    const path: (Node | undefined)[] = [start];
    for (let index = 0; index < this.#bytes.length; ) {
      const depth = this.#depths[index] as number;
      const next = automaton.step(path[depth - 1] as Node, this.#bytes[index] as number);
      if (next === null) {
        index = this.#subtreeEnds[index] as number;
        continue;
      }
      path[depth] = next;
      const end = this.#tokenStarts[index + 1] as number;
      for (let at = this.#tokenStarts[index] as number; at < end; at++) setBit(allowed, this.#tokens[at] as number);
      index++;
    }
    return allowed;
  }
}

function endSubtree(node: { end: number } | undefined, end: number): void {
  if (node !== undefined) node.end = end;
}

function sharedPrefix(a: Uint8Array, b: Uint8Array): number {
  let shared = 0;
  while (shared < a.length && shared < b.length && a[shared] === b[shared]) shared++;
  return shared;
}

function setBit(bits: Uint32Array, index: number): void {
  bits[index >> 5] = (bits[index >> 5] ?? 0) | (1 << (index & 31));
}

export function hasBit(bits: Uint32Array, index: number): boolean {
  return ((bits[index >> 5] ?? 0) & (1 << (index & 31))) !== 0;
}
