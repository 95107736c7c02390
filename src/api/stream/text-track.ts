import type { TextPiece } from '../../queue/index.ts';

/** One text of a streamed answer: what is known of it, and how much of that is sent. */
export class TextTrack {
  #sent = '';
  #unsent = '';

  get length(): number {
    return this.#sent.length + this.#unsent.length;
  }

  get unsentLength(): number {
    return this.#unsent.length;
  }

  /** Is nothing missing between what is known and this piece? */
  reaches({ at }: TextPiece): boolean {
    return at <= this.length;
  }

  /** Does a piece that reaches say the same where it repeats what is known? */
  agrees({ at, text }: TextPiece): boolean {
    // nearly every piece begins where the last one ended: a long text is put together only for those that do not
    if (at === this.length) return true;
    return text.startsWith((this.#sent + this.#unsent).slice(at, at + text.length));
  }

  /** Adds what is new in a piece that reaches and agrees. */
  join({ at, text }: TextPiece): void {
    this.#unsent += text.slice(this.length - at);
  }

  takeUnsent(): string {
    const text = this.#unsent;
    this.#sent += text;
    this.#unsent = '';
    return text;
  }

  /** Takes the whole text in place of what is known; false when what is sent is not its beginning. */
  complete(whole: string): boolean {
    if (!whole.startsWith(this.#sent)) return false;
    this.#unsent = whole.slice(this.#sent.length);
    return true;
  }
}
