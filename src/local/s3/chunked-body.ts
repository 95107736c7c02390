import { createHash } from 'node:crypto';
import { S3Error } from './s3-error.ts';
import { type ChunkSigning, isSameHex, sha256, sign } from './signature.ts';

/**
 * The aws-chunked transfer coding:
 *   `<hex bytes>[;chunk-signature=<hex>]\r\n<data>\r\n` … `0[;chunk-signature=<hex>]\r\n[<name>:<value>\r\n …]\r\n`
 * A signed chunk is verified at its end; the reader must not let anything count before the stream has ended well.
 */
const maxLineBytes = 1024;
const maxTrailers = 8;

export interface ChunkedOptions {
  readonly signing: ChunkSigning | null;
  readonly hasTrailer: boolean;
}

/** Yields the data; `trailers` is filled (lower-case names) when the stream ends. Throws S3Error on any deviation. */
export async function* decodeChunked(
  source: AsyncIterable<Uint8Array>,
  options: ChunkedOptions,
  trailers: Map<string, string>,
): AsyncGenerator<Uint8Array> {
  const bytes = new ByteSource(source);
  let previous = options.signing?.seed ?? '';
  const checkChunk = (signature: string | undefined, digest: string): void => {
    if (options.signing === null) return;
    const { key, stamp } = options.signing;
    const expected = sign(key, `AWS4-HMAC-SHA256-PAYLOAD\n${stamp}\n${previous}\n${sha256('')}\n${digest}`);
    if (!isSameHex(expected, signature ?? ''))
      throw new S3Error('SignatureDoesNotMatch', 'a chunk has a wrong signature');
    previous = expected;
  };
  for (;;) {
    const header = parseChunkHeader(await bytes.line());
    const hash = createHash('sha256');
    for (let left = header.bytes; left > 0; ) {
      const data = await bytes.take(left);
      left -= data.byteLength;
      if (options.signing !== null) hash.update(data);
      yield data;
    }
    checkChunk(header.signature, hash.digest('hex'));
    if (header.bytes === 0) break;
    if ((await bytes.line()) !== '') throw broken('a chunk is longer than announced');
  }
  await readTrailers(bytes, options, previous, trailers);
  await bytes.expectEnd();
}

async function readTrailers(
  bytes: ByteSource,
  { signing, hasTrailer }: ChunkedOptions,
  previous: string,
  trailers: Map<string, string>,
): Promise<void> {
  let signature: string | undefined;
  let canonical = '';
  for (let line = await bytes.line(); line !== ''; line = await bytes.line()) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).trim().toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (!hasTrailer || colon < 1 || trailers.size === maxTrailers) throw broken('an unexpected trailer');
    if (name === 'x-amz-trailer-signature') {
      signature = value;
      continue;
    }
    trailers.set(name, value);
    canonical += `${name}:${value}\n`;
  }
  if (signing === null || !hasTrailer) return;
  const expected = sign(signing.key, `AWS4-HMAC-SHA256-TRAILER\n${signing.stamp}\n${previous}\n${sha256(canonical)}`);
  if (!isSameHex(expected, signature ?? ''))
    throw new S3Error('SignatureDoesNotMatch', 'the trailer has a wrong signature');
}

function parseChunkHeader(line: string): { readonly bytes: number; readonly signature: string | undefined } {
  const [, hex, signature] = /^([0-9a-f]{1,10})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(line) ?? [];
  if (hex === undefined) throw broken('a chunk without its length');
  return { bytes: Number.parseInt(hex, 16), signature };
}

function broken(what: string): S3Error {
  return new S3Error('IncompleteBody', `the aws-chunked body is broken: ${what}`);
}

/** Reads lines and runs of bytes from chunks of any size, without copying runs. */
class ByteSource {
  private readonly chunks: AsyncIterator<Uint8Array>;
  private current: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.chunks = source[Symbol.asyncIterator]();
  }

  /** At least one byte, at most `limit`. */
  async take(limit: number): Promise<Uint8Array> {
    if (!(await this.fill())) throw broken('it ends early');
    const taken = this.current.subarray(0, limit);
    this.current = this.current.subarray(taken.byteLength);
    return taken;
  }

  /** Up to the next CRLF, without it. */
  async line(): Promise<string> {
    let text = '';
    while (!text.endsWith('\r\n')) {
      if (text.length > maxLineBytes) throw broken('a line is too long');
      if (!(await this.fill())) throw broken('it ends early');
      const newline = this.current.indexOf(0x0a);
      const taken = await this.take(newline === -1 ? maxLineBytes : newline + 1);
      text += Buffer.from(taken).toString('latin1');
    }
    return text.slice(0, -2);
  }

  async expectEnd(): Promise<void> {
    if (await this.fill()) throw broken('there is more behind its end');
  }

  private async fill(): Promise<boolean> {
    while (this.current.byteLength === 0) {
      const next = await this.chunks.next();
      if (next.done === true) return false;
      this.current = next.value;
    }
    return true;
  }
}
