/** The text of an answer while it is written, cut where a stop string begins. */
export class ContentText {
  readonly #stops: readonly string[];
  readonly #longestStop: number;
  #text = '';
  #isCut = false;
  #isClosed = false;

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
    this.#longestStop = Math.max(0, ...stops.map(({ length }) => length));
  }

  get text(): string {
    return this.#text;
  }

  /** A stop string has ended it. */
  get isCut(): boolean {
    return this.#isCut;
  }

  push(piece: string): void {
    if (piece === '' || this.#isCut) return;
    const from = Math.max(0, this.#text.length - this.#longestStop + 1);
    this.#text += piece;
    const places = this.#stops.map((stop) => this.#text.indexOf(stop, from)).filter((at) => at >= 0);
    if (places.length === 0) return;
    this.#text = this.#text.slice(0, Math.min(...places));
    this.#isCut = true;
  }

  /** Nothing more follows, so nothing waits to become a stop string. */
  close(): void {
    this.#isClosed = true;
  }

  /** Length of what stays whatever follows: text that may be the beginning of a stop string is not shown yet. */
  get shownLength(): number {
    if (this.#isCut || this.#isClosed) return this.#text.length;
    const held = this.#stops.map((stop) => countHeld(this.#text, stop));
    return this.#text.length - Math.max(0, ...held);
  }
}

/** Length of the longest end of `text` with which `stop` begins. */
function countHeld(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
