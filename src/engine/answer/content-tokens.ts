import type { TokenLogprob } from '../messages.ts';
import { endInsideCharacter } from '../tokenizer/token-decoder.ts';

/** How many bytes a decoder holds back at most. */
const tailBytes = 3;
const unknownEnd = Number.POSITIVE_INFINITY;

/** The tokens of the content with their log-probabilities, and which of them lie in how much of its text. */
export class ContentTokens {
  readonly #entries: TokenLogprob[] = [];
  /** Of each token, length of the content with all of its text; not known while it ends inside a character. */
  readonly #ends: number[] = [];
  #tail: Uint8Array = new Uint8Array(0);

  get entries(): readonly TokenLogprob[] {
    return this.#entries;
  }

  /**
   * @param text that became readable with the token
   * @param before length of the content before that text
   */
  push(entry: TokenLogprob, text: string, before: number): void {
    // the first character is the one that earlier tokens have begun
    if (text !== '') this.#settle(before + ((text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1));
    const bytes = Uint8Array.from([...this.#tail, ...entry.bytes]);
    this.#tail = bytes.slice(-tailBytes);
    this.#entries.push(entry);
    this.#ends.push(endInsideCharacter(this.#tail) ? unknownEnd : before + text.length);
  }

  /** No more text comes, but what a broken character left behind, which is in `length` already. */
  close(length: number): void {
    this.#settle(length);
  }

  /** How many tokens have all of their text in the first `length` characters. */
  countWithin(length: number): number {
    let count = this.#ends.length;
    while (count > 0 && (this.#ends[count - 1] as number) > length) count--;
    return count;
  }

  #settle(end: number): void {
    for (let index = this.#ends.length - 1; this.#ends[index] === unknownEnd; index--) this.#ends[index] = end;
  }
}
