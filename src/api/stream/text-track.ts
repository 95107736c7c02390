import type { TextPiece } from '../../queue/index.ts';

/** One text of a streamed answer: what is known of it, and how much of that is sent. */
export class TextTrack {
  #text = '';
  #sentLength = 0;

  get unsentLength(): number {
    return this.#text.length - this.#sentLength;
  }

  get length(): number {
    return this.#text.length;
  }

  /** Is nothing missing between what is known and this piece? */
  reaches({ at }: TextPiece): boolean {
    return at <= this.#text.length;
  }

  /** Does a piece that reaches say the same where it repeats what is known? */
  agrees({ at, text }: TextPiece): boolean {
    return text.startsWith(this.#text.slice(at, at + text.length));
  }

  /** Adds what is new in a piece that reaches and agrees. */
  join({ at, text }: TextPiece): void {
    this.#text += text.slice(this.#text.length - at);
  }

  takeUnsent(): string {
    const unsent = this.#text.slice(this.#sentLength);
    this.#sentLength = this.#text.length;
    return unsent;
  }

  /** Takes the whole text in place of what is known; false when what is sent is not its beginning. */
  complete(whole: string): boolean {
    if (!whole.startsWith(this.#text.slice(0, this.#sentLength))) return false;
    this.#text = whole;
    return true;
  }
}
