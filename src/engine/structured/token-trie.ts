import { appendByte, noText, type PlainText } from './plain-text.ts';

/**
 * All tokens as a trie in depth-first order. Places in it are counted in that order, and so are tokens: the tokens of a
 * subtree are a range, and a set of tokens has one bit for each, by this order.
 */
export class TokenTrie {
  /** Of each place: its byte, its depth from 1, the place behind its subtree, its first token. */
  readonly bytes: Uint8Array;
  readonly depths: Uint16Array;
  readonly subtreeEnds: Int32Array;
  readonly tokenStarts: Int32Array;
  /** Of each place, characters of the longest token of its subtree; `notPlain` when some have others than plain ones. */
  readonly longestPlain: Uint16Array;
  /** Ids in the order of the trie. */
  readonly ids: Int32Array;
  /** Ids without bytes: no text leads to them. */
  readonly textless: Int32Array;
  /** Bytes of the longest token. */
  readonly longest: number;
  readonly vocabularySize: number;
  /** Of each token in order, its characters, begun ones included, or `notPlain`. */
  readonly #plainCharacters: Uint16Array;
  /** By a number of characters. */
  readonly #plainTokens: Uint32Array[] = [];

  constructor(vocabularySize: number, tokenBytes: (id: number) => Uint8Array) {
    this.vocabularySize = vocabularySize;
    const all = Array.from({ length: vocabularySize }, (_, id) => ({ id, bytes: Buffer.from(tokenBytes(id)) }));
    this.textless = Int32Array.from(
      all.filter(({ bytes }) => bytes.length === 0),
      ({ id }) => id,
    );
    const sorted = all
      .filter(({ bytes }) => bytes.length > 0)
      .sort((a, b) => Buffer.compare(a.bytes, b.bytes) || a.id - b.id);
    this.ids = Int32Array.from(sorted, ({ id }) => id);
    this.longest = sorted.reduce((longest, { bytes }) => Math.max(longest, bytes.length), 0);

    const most = sorted.reduce((total, { bytes }) => total + bytes.length, 0);
    const [bytesOf, depths] = [new Uint8Array(most), new Uint16Array(most)];
    const [ends, starts] = [new Int32Array(most), new Int32Array(most + 1)];
    const path: number[] = [];
    let places = 0;
    let previous = Buffer.alloc(0);
    for (const [order, { bytes }] of sorted.entries()) {
      const shared = sharedPrefix(previous, bytes);
      for (const closed of path.splice(shared)) ends[closed] = places;
      for (let depth = shared; depth < bytes.length; depth++) {
        bytesOf[places] = bytes[depth] ?? 0;
        depths[places] = depth + 1;
        starts[places] = order;
        path.push(places++);
      }
      previous = bytes;
    }
    for (const open of path) ends[open] = places;
    starts[places] = sorted.length;
    this.bytes = bytesOf.slice(0, places);
    this.depths = depths.slice(0, places);
    this.subtreeEnds = ends.slice(0, places);
    this.tokenStarts = starts.slice(0, places + 1);
    [this.#plainCharacters, this.longestPlain] = this.#countPlain();
  }

  /** The set of all tokens of plain text that have up to so many characters. Not to be changed. */
  plainTokens(characters: number): Uint32Array {
    let bits = this.#plainTokens[characters];
    if (bits === undefined) {
      bits = new Uint32Array(Math.ceil(this.ids.length / 32));
      for (const [token, length] of this.#plainCharacters.entries()) {
        if (length <= characters) bits[token >>> 5] = (bits[token >>> 5] as number) | (1 << (token & 31));
      }
      this.#plainTokens[characters] = bits;
    }
    return bits;
  }

  /** The longest token that stands in the text from `start` on; null: none does. */
  longestToken(text: ArrayLike<number>, start: number): { readonly id: number; readonly length: number } | null {
    let found: { readonly id: number; readonly length: number } | null = null;
    let [place, end] = [0, this.bytes.length];
    for (let at = start; at < text.length; at++) {
      while (place < end && this.bytes[place] !== text[at]) place = this.subtreeEnds[place] as number;
      if (place >= end) break;
      const [first, behind] = [this.tokenStarts[place] as number, this.tokenStarts[place + 1] as number];
      if (first < behind) found = { id: this.ids[first] as number, length: at - start + 1 };
      end = this.subtreeEnds[place] as number;
      place++;
    }
    return found;
  }

  #countPlain(): readonly [Uint16Array, Uint16Array] {
    const characters = new Uint16Array(this.ids.length).fill(notPlain);
    const longest = new Uint16Array(this.bytes.length);
    const path: number[] = [];
    const texts: (PlainText | null)[] = [noText];
    for (const [place, byte] of this.bytes.entries()) {
      const depth = this.depths[place] as number;
      const before = texts[depth - 1] ?? null;
      const text = before === null ? null : appendByte(before, byte);
      texts[depth] = text;
      path[depth] = place;
      const [first, end] = [this.tokenStarts[place] as number, this.tokenStarts[place + 1] as number];
      if (first === end) continue;
      const length = text?.characters ?? notPlain;
      characters.fill(length, first, end);
      // further up it is known as soon as it is known here
      for (let above = depth; above > 0 && (longest[path[above] as number] as number) < length; above--) {
        longest[path[above] as number] = length;
      }
    }
    return [characters, longest];
  }
}

export const notPlain = 0xffff;

function sharedPrefix(a: Uint8Array, b: Uint8Array): number {
  let shared = 0;
  while (shared < a.length && shared < b.length && a[shared] === b[shared]) shared++;
  return shared;
}
