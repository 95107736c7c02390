/** One line of a byte stream, without its line end. */
export interface SplitLine {
  /** 1-based. */
  readonly number: number;
  /** null when the line is longer than allowed; its bytes were dropped while reading. */
  readonly bytes: Buffer | null;
  readonly byteTotal: number;
}

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Splits bytes at line feeds, before any decoding, so that characters across chunk borders stay whole.
 * Accepts CRLF and a leading byte order mark. Holds one line of at most `maxLineBytes` and one chunk of the source.
 * A last line without line end counts; nothing after a final line end is no line.
 */
export async function* splitLines(source: AsyncIterable<Uint8Array>, maxLineBytes: number): AsyncGenerator<SplitLine> {
  const open = new OpenLine(maxLineBytes);
  let number = 0;
  for await (const chunk of source) {
    let start = 0;
    for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, start)) {
      open.add(chunk.subarray(start, end));
      start = end + 1;
      number += 1;
      yield open.take(number);
    }
    open.add(chunk.subarray(start));
  }
  if (open.byteTotal > 0) yield open.take(number + 1);
}

class OpenLine {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  byteTotal = 0;

  constructor(maxBytes: number) {
    // room for the mark and the carriage return, which do not count
    this.#maxBytes = maxBytes + byteOrderMark.length + 1;
  }

  add(part: Uint8Array): void {
    if (part.length === 0) return;
    this.byteTotal += part.length;
    if (this.byteTotal <= this.#maxBytes) this.#parts.push(part);
    else this.#parts = [];
  }

  take(number: number): SplitLine {
    const kept = this.byteTotal <= this.#maxBytes;
    let bytes = Buffer.concat(this.#parts);
    this.#parts = [];
    let byteTotal = this.byteTotal;
    this.byteTotal = 0;
    if (!kept) return { number, bytes: null, byteTotal };
    if (number === 1 && bytes.subarray(0, byteOrderMark.length).equals(byteOrderMark)) {
      bytes = bytes.subarray(byteOrderMark.length);
    }
    if (bytes.at(-1) === carriageReturn) bytes = bytes.subarray(0, -1);
    byteTotal = bytes.length;
    return { number, bytes: byteTotal <= this.#maxBytes - byteOrderMark.length - 1 ? bytes : null, byteTotal };
  }
}
