import { crc32 } from 'node:zlib';
import type { S3Client } from '@aws-sdk/client-s3';
import type { ByteRange } from './object-store.ts';
import type { S3Options } from './s3-client.ts';
import { type S3Exchange, S3Line, type S3Reply } from './s3-exchange.ts';
import type { AnswerHead } from './s3-head.ts';
import { encodeKey, RequestSigner } from './s3-signature.ts';

/** `unclear`: ask the SDK, as if nothing had been sent. */
export type DirectAnswer =
  | { readonly type: 'found'; readonly answer: AnswerHead; readonly body: Uint8Array }
  | { readonly type: 'absent' }
  | { readonly type: 'unclear' };

/** `refused`: the condition does not hold, or somebody else is writing. */
export type DirectPutAnswer =
  | { readonly type: 'accepted'; readonly etag: string }
  | { readonly type: 'refused'; readonly status: 409 | 412 }
  | { readonly type: 'unclear' };

export interface DirectPut {
  readonly contentType?: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** `if-match` or `if-none-match`; null: none. */
  readonly condition: Readonly<Record<string, string>> | null;
}

interface Settings {
  readonly signer: RequestSigner;
  readonly sendsChecksum: boolean;
  readonly wantsChecksum: boolean;
}

const unclear = { type: 'unclear' } as const;
const absent = { type: 'absent' } as const;
const metadataPrefix = 'x-amz-meta-';
const checksumPrefix = 'x-amz-checksum-';

/**
 * Gets, heads and puts of single objects in one try of our own, at a quarter of what the SDK takes for them. Only an
 * answer that leaves no question counts: the object, its absence, a write accepted or refused by its condition.
 * Everything else (no answer, 5xx, a refused signature, a checksum of another kind) is `unclear`, and the SDK sends the
 * request again, with its retries, its clock and its errors. So each write may arrive twice, as with any retry. Credentials, region and the
 * checksum settings are the SDK's.
 */
export class DirectRequests {
  readonly #client: S3Client;
  readonly #url: URL;
  readonly #bucket: string;
  readonly #line: S3Line;
  #settings: Promise<Settings> | null = null;

  constructor(client: S3Client, url: URL, bucket: string) {
    this.#client = client;
    this.#url = url;
    this.#bucket = bucket;
    this.#line = new S3Line(url);
  }

  async get(key: string, range: ByteRange | undefined, signal: AbortSignal | undefined): Promise<DirectAnswer> {
    const bytes: Record<string, string> = range === undefined ? {} : { range: `bytes=${range.start}-${range.end - 1}` };
    const reply = await this.#send(key, { method: 'GET', headers: bytes, body: null, signal });
    if (reply === null) return unclear;
    if (reply.status === 404) return reply.body.includes('<Code>NoSuchKey</Code>') ? absent : unclear;
    if (reply.status !== (range === undefined ? 200 : 206)) return unclear;
    if (reply.status === 200 && !hasRightChecksum(reply)) return unclear;
    return toFound(reply, reply.body.byteLength);
  }

  async head(key: string): Promise<DirectAnswer> {
    const reply = await this.#send(key, { method: 'HEAD', headers: {}, body: null });
    if (reply === null) return unclear;
    // without a body nobody can tell what exactly is not there
    if (reply.status === 404) return absent;
    return reply.status === 200 ? toFound(reply, Number(reply.headers['content-length'])) : unclear;
  }

  async put(key: string, body: Uint8Array, { contentType, metadata, condition }: DirectPut): Promise<DirectPutAnswer> {
    const headers: Record<string, string> = { 'content-length': String(body.byteLength), ...condition };
    headers['content-type'] = contentType ?? 'application/octet-stream';
    for (const [name, value] of Object.entries(metadata)) headers[`${metadataPrefix}${name}`] = value;
    const reply = await this.#send(key, { method: 'PUT', headers, body });
    const isRefused = reply?.status === 409 || reply?.status === 412;
    if (condition !== null && isRefused) return { type: 'refused', status: reply.status };
    const etag = reply?.headers.etag;
    return reply?.status === 200 && etag !== undefined ? { type: 'accepted', etag } : unclear;
  }

  /** null: whatever went wrong, the SDK will tell. */
  async #send(key: string, exchange: Omit<S3Exchange, 'path'>): Promise<S3Reply | null> {
    const { method, body } = exchange;
    try {
      this.#settings ??= loadSettings(this.#client);
      const { signer, sendsChecksum, wantsChecksum } = await this.#settings;
      const identity = await this.#client.config.credentials();
      const path = `/${this.#bucket}/${encodeKey(key)}`;
      const headers: Record<string, string> = { host: this.#url.host, ...exchange.headers };
      if (body !== null && sendsChecksum) headers['x-amz-checksum-crc32'] = crc32Of(body);
      if (method === 'GET' && wantsChecksum) headers['x-amz-checksum-mode'] = 'ENABLED';
      const signed = signer.sign({ method, path, headers, body }, identity, Date.now());
      return await this.#line.send({ ...exchange, path, headers: signed });
    } catch {
      // settings that cannot be loaded now may be there later
      if (this.#settings !== null) this.#settings.catch(() => (this.#settings = null));
      return null;
    }
  }
}

/** Where it may be used: the address of an object must be plain, and there must be a second try to make up for ours. */
export function findDirectUrl({ endpoint, forcePathStyle, maxAttempts, direct }: S3Options): URL | null {
  if (endpoint === null || forcePathStyle === false || maxAttempts === 1 || direct === false) return null;
  const url = new URL(endpoint);
  return url.pathname === '/' && url.search === '' ? url : null;
}

async function loadSettings({ config }: S3Client): Promise<Settings> {
  const [region, sent, wanted] = await Promise.all([
    config.region(),
    config.requestChecksumCalculation(),
    config.responseChecksumValidation(),
  ]);
  return {
    signer: new RequestSigner(region),
    sendsChecksum: sent === 'WHEN_SUPPORTED',
    wantsChecksum: wanted === 'WHEN_SUPPORTED',
  };
}

function toFound({ headers, body }: S3Reply, bytes: number): DirectAnswer {
  if (headers.etag === undefined || Number.isNaN(bytes)) return unclear;
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(metadataPrefix)) metadata[name.slice(metadataPrefix.length)] = String(value);
  }
  const modified = headers['last-modified'];
  const answer = {
    ContentLength: bytes,
    ContentRange: headers['content-range'],
    ContentType: headers['content-type'],
    ETag: headers.etag,
    LastModified: modified === undefined ? undefined : new Date(modified),
    Metadata: metadata,
  };
  return { type: 'found', answer, body };
}

/** True without any. Those of parts (`…-3`) are of no use here; of other kinds the SDK knows more. */
function hasRightChecksum({ headers, body }: S3Reply): boolean {
  return Object.entries(headers).every(([name, value]) => {
    if (!name.startsWith(checksumPrefix) || name === `${checksumPrefix}type` || /-\d+$/.test(String(value)))
      return true;
    return name === `${checksumPrefix}crc32` && value === crc32Of(body);
  });
}

function crc32Of(body: Uint8Array): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes.toString('base64');
}
