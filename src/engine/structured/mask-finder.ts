import type { Automaton, Node } from './automaton.ts';
import { FreeText } from './free-text.ts';
import type { NodeClasses } from './node-classes.ts';
import { buildMask, maskBytes, type TokenMask } from './token-mask.ts';
import { notPlain, type TokenTrie } from './token-trie.ts';

/** Masks of one automaton; beyond it all are found again. */
const maxBytes = 16 * 1024 * 1024;
/** Beside its values, what an entry of a map costs. */
const entryBytes = 100;

/**
 * Work of the automaton for one mask, one to two seconds; sensible schemas need a hundredth of it. Patterns exist that
 * have a node for almost every text.
 */
const sensibleWork = 4_000_000;

/** Which tokens may follow a node. What was found for a node is used again for every other node of its class. */
export class MaskFinder {
  readonly #trie: TokenTrie;
  readonly #automaton: Automaton;
  readonly #classes: NodeClasses;
  readonly #freeText: FreeText;
  readonly #masks = new Map<number, TokenMask>();
  readonly #maxWork: number;
  #bytes = 0;

  constructor(trie: TokenTrie, automaton: Automaton, classes: NodeClasses, maxWork = sensibleWork) {
    this.#trie = trie;
    this.#automaton = automaton;
    this.#classes = classes;
    this.#freeText = new FreeText(automaton);
    this.#maxWork = maxWork;
  }

  /** Of all masks that are kept. */
  get bytes(): number {
    return this.#bytes;
  }

  /** @throws the error for ambiguous texts when that takes too long */
  find(node: Node): TokenMask {
    const nodeClass = this.#classes.find(node);
    let mask = this.#masks.get(nodeClass);
    if (mask === undefined) {
      if (this.#bytes > maxBytes) this.forget();
      mask = buildMask(this.#walk(node), this.#trie);
      this.#masks.set(nodeClass, mask);
      this.#bytes += maskBytes(mask) + entryBytes;
    }
    return mask;
  }

  forget(): void {
    this.#masks.clear();
    this.#bytes = 0;
  }

  /**
   * Tries all tokens at once, the trie beside the automaton: a subtree whose first byte does not fit is left out as a
   * whole. Tokens of plain text that are free to follow are taken beforehand, and subtrees without others left out.
   * @returns one bit a token in the order of the trie
   */
  #walk(start: Node): Uint32Array {
    const { bytes, depths, subtreeEnds, tokenStarts, longestPlain } = this.#trie;
    const mostWork = this.#automaton.work + this.#maxWork;
    const { characters, isClosed } = this.#freeText.measure(start);
    const settled = isClosed ? notPlain - 1 : characters;
    const bits = this.#trie.plainTokens(characters).slice();
    const path = [start];
    for (let place = 0; place < bytes.length; ) {
      const depth = depths[place] as number;
      const isSettled = (longestPlain[place] as number) <= settled;
      const next = isSettled ? null : this.#automaton.step(path[depth - 1] as Node, bytes[place] as number);
      if (next === null) {
        place = subtreeEnds[place] as number;
        continue;
      }
      if (this.#automaton.work > mostWork) throw this.#automaton.onAmbiguous();
      path[depth] = next;
      const end = tokenStarts[place + 1] as number;
      for (let token = tokenStarts[place] as number; token < end; token++) {
        bits[token >>> 5] = (bits[token >>> 5] as number) | (1 << (token & 31));
      }
      place++;
    }
    return bits;
  }
}
