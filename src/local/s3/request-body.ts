import { createHash, type Hash } from 'node:crypto';
import {
  type Checksum,
  type ChecksumAlgorithm,
  checksumAlgorithms,
  checksumHeader,
  openChecksum,
  type RunningChecksum,
} from './checksums.ts';
import { decodeChunked } from './chunked-body.ts';
import { S3Error } from './s3-error.ts';
import { isSameHex, type Payload } from './signature.ts';

/** What is known of a body once it has been read to its end. */
export interface BodyDigests {
  readonly bytes: number;
  readonly md5: string;
  /** What the client sent and we verified. */
  readonly checksum: Checksum | null;
}

/** The decoded body of a request. It is read once, to its end; `digests` throws before. */
export interface RequestBody {
  /** Throws S3Error when length, digest or checksum are not as announced, after the last chunk. */
  chunks(): AsyncIterable<Uint8Array>;
  digests(): BodyDigests;
  /** The whole text; throws `EntityTooLarge` beyond `maxBytes`. */
  text(maxBytes: number): Promise<string>;
}

export interface BodySource {
  readonly raw: AsyncIterable<Uint8Array>;
  readonly header: (name: string) => string | undefined;
  readonly payload: Payload;
  readonly maxBytes: number;
}

/** Throws S3Error when the headers about the body contradict each other or the announced length is over the limit. */
export function openRequestBody(source: BodySource): RequestBody {
  const announced = readAnnounced(source);
  let digests: BodyDigests | undefined;
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    const trailers = new Map<string, string>();
    const decoded =
      source.payload.type === 'chunked' ? decodeChunked(source.raw, source.payload, trailers) : source.raw;
    const running = openDigests(source.payload, announced);
    let bytes = 0;
    for await (const chunk of decoded) {
      bytes += chunk.byteLength;
      if (bytes > announced.bytes) throw new S3Error('IncompleteBody', 'the body is longer than announced');
      running.update(chunk);
      yield chunk;
    }
    if (bytes !== announced.bytes) throw new S3Error('IncompleteBody', 'the body is shorter than announced');
    digests = running.verify(bytes, trailers);
  };
  return {
    chunks,
    digests: () => {
      if (digests === undefined) throw new Error('the body has not been read to its end');
      return digests;
    },
    text: async (maxBytes) => {
      if (announced.bytes > maxBytes) throw new S3Error('EntityTooLarge', `the body may have ${maxBytes} bytes`);
      const all: Uint8Array[] = [];
      for await (const chunk of chunks()) all.push(chunk);
      return Buffer.concat(all).toString('utf8');
    },
  };
}

interface Announced {
  readonly bytes: number;
  readonly contentMd5: Buffer | undefined;
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly value: string | undefined } | undefined;
}

function readAnnounced({ header, payload, maxBytes }: BodySource): Announced {
  const lengthName = payload.type === 'chunked' ? 'x-amz-decoded-content-length' : 'content-length';
  const length = header(lengthName) ?? (header('transfer-encoding') === undefined ? '0' : undefined);
  if (length === undefined || (payload.type === 'chunked' && header(lengthName) === undefined)) {
    throw new S3Error('MissingContentLength', `the header ${lengthName} is required`);
  }
  if (!/^\d{1,15}$/.test(length)) throw new S3Error('InvalidArgument', `${lengthName} is no number of bytes`);
  const bytes = Number(length);
  if (bytes > maxBytes) {
    throw new S3Error('EntityTooLarge', `the body has ${bytes} bytes, ${maxBytes} are allowed`, {
      ProposedSize: length,
      MaxSizeAllowed: String(maxBytes),
    });
  }
  return { bytes, contentMd5: readContentMd5(header('content-md5')), checksum: readChecksum(header, payload) };
}

function readContentMd5(value: string | undefined): Buffer | undefined {
  if (value === undefined) return undefined;
  const digest = Buffer.from(value, 'base64');
  if (digest.byteLength !== 16) throw new S3Error('InvalidDigest', 'Content-MD5 is no base64 of 16 bytes');
  return digest;
}

/** One checksum, in a header or announced by `x-amz-trailer`. */
function readChecksum(header: BodySource['header'], payload: Payload): Announced['checksum'] {
  const trailer = header('x-amz-trailer')?.toLowerCase();
  const found = checksumAlgorithms.filter(
    (each) => header(checksumHeader(each)) !== undefined || trailer === checksumHeader(each),
  );
  const [algorithm] = found;
  if (found.length > 1) throw new S3Error('InvalidRequest', 'expecting a single x-amz-checksum- header');
  if (trailer !== undefined && (trailer !== (algorithm && checksumHeader(algorithm)) || payload.type !== 'chunked')) {
    throw new S3Error('InvalidRequest', 'x-amz-trailer must name one checksum of an aws-chunked body');
  }
  if (algorithm === undefined) return undefined;
  return { algorithm, value: header(checksumHeader(algorithm)) };
}

function openDigests(
  payload: Payload,
  announced: Announced,
): {
  update(chunk: Uint8Array): void;
  verify(bytes: number, trailers: ReadonlyMap<string, string>): BodyDigests;
} {
  const md5 = createHash('md5');
  const sha256: Hash | undefined = payload.type === 'sha256' ? createHash('sha256') : undefined;
  const checksum: RunningChecksum | undefined =
    announced.checksum === undefined ? undefined : openChecksum(announced.checksum.algorithm);
  return {
    update: (chunk) => {
      md5.update(chunk);
      sha256?.update(chunk);
      checksum?.update(chunk);
    },
    verify: (bytes, trailers) => {
      if (payload.type === 'sha256' && !isSameHex(sha256?.digest('hex') ?? '', payload.hex)) {
        throw new S3Error('XAmzContentSHA256Mismatch', 'the body does not have the sha256 that was signed');
      }
      const digest = md5.digest();
      if (announced.contentMd5 !== undefined && !digest.equals(announced.contentMd5)) {
        throw new S3Error('BadDigest', 'the body does not have the Content-MD5 that was sent');
      }
      const verified = verifyChecksum(announced.checksum, checksum, trailers);
      return { bytes, md5: digest.toString('hex'), checksum: verified };
    },
  };
}

function verifyChecksum(
  announced: Announced['checksum'],
  running: RunningChecksum | undefined,
  trailers: ReadonlyMap<string, string>,
): Checksum | null {
  if (announced === undefined || running === undefined) return null;
  const name = checksumHeader(announced.algorithm);
  const expected = announced.value ?? trailers.get(name);
  if (expected === undefined) throw new S3Error('InvalidRequest', `the trailer ${name} is missing`);
  const value = running.digest().toString('base64');
  if (value !== expected) throw new S3Error('BadDigest', `the ${announced.algorithm} of the body is not the one sent`);
  return { algorithm: announced.algorithm, value, type: 'FULL_OBJECT' };
}
