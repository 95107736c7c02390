import type { Automaton, Node, Stack } from './automaton.ts';
import type { TokenTrie } from './token-trie.ts';

/** The shortest text from a node of the automaton to the end, and the tokens that write it. Nodes are told apart by identity. */
export class ShortestEnd {
  readonly #automaton: Automaton;
  /** Of each state, the fewest bytes to the end of its rule. */
  readonly #shortest: Float64Array;
  readonly #trie: TokenTrie;
  readonly #stackBytes = new WeakMap<Stack, number>();
  readonly #tokens = new WeakMap<Node, readonly number[] | null>();

  constructor(automaton: Automaton, shortest: Float64Array, trie: TokenTrie) {
    this.#automaton = automaton;
    this.#shortest = shortest;
    this.#trie = trie;
  }

  /** Fewest bytes; as many tokens are always enough, where each byte is one. 0: the text may end here. */
  bytes(node: Node): number {
    if (node.accepting) return 0;
    return node.positions.reduce(
      (least, { state, stack }) => Math.min(least, (this.#shortest[state] as number) + this.#bytesOf(stack)),
      Number.POSITIVE_INFINITY,
    );
  }

  /** Tokens of the shortest text, longest first at each place; null: the tokenizer cannot write it. */
  tokens(node: Node): readonly number[] | null {
    let tokens = this.#tokens.get(node);
    if (tokens === undefined) {
      tokens = this.#write(this.#spell(node));
      this.#tokens.set(node, tokens);
    }
    return tokens;
  }

  #bytesOf(stack: Stack): number {
    if (stack.parent === null) return 0;
    let bytes = this.#stackBytes.get(stack);
    if (bytes === undefined) {
      bytes = (this.#shortest[stack.returnTo] as number) + this.#bytesOf(stack.parent);
      this.#stackBytes.set(stack, bytes);
    }
    return bytes;
  }

  #spell(start: Node): number[] {
    const text: number[] = [];
    let [node, left] = [start, this.bytes(start)];
    while (left > 0) {
      const step = this.#automaton.listBytes(node).find((byte) => {
        const after = this.#automaton.step(node, byte);
        return after !== null && this.bytes(after) === left - 1;
      });
      if (step === undefined) return text;
      text.push(step);
      node = this.#automaton.step(node, step) as Node;
      left--;
    }
    return text;
  }

  #write(text: readonly number[]): readonly number[] | null {
    const tokens: number[] = [];
    for (let at = 0; at < text.length; ) {
      const found = this.#trie.longestToken(text, at);
      if (found === null) return null;
      tokens.push(found.id);
      at += found.length;
    }
    return tokens;
  }
}
