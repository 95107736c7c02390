import { createHash, createHmac } from 'node:crypto';
import { request } from 'node:http';
import { buffer } from 'node:stream/consumers';

/** A client of the S3 protocol that can do wrong: signs by the book (signature version 4) what it is told to send. */
export interface RawRequest {
  readonly method: string;
  /** As sent, percent-encoded. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
  /** @defaultValue the sha256 of the body */
  readonly payloadHash?: string;
  readonly atMs?: number;
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  /** Seconds: a presigned URL instead of a signed header. */
  readonly expires?: number;
  /** Sent, but not signed. */
  readonly unsignedHeaders?: Readonly<Record<string, string>>;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
  readonly text: string;
  /** Content of `<Code>` of an error. */
  readonly code: string | undefined;
}

export interface Signed {
  readonly headers: Readonly<Record<string, string>>;
  readonly target: string;
  readonly signature: string;
  readonly key: Buffer;
  readonly stamp: string;
}

export const sha256Of = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex');
export const hmacOf = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();

const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);

export function signRequest(
  host: string,
  raw: RawRequest,
  defaults: { accessKeyId: string; secretAccessKey: string },
): Signed {
  const { accessKeyId, secretAccessKey } = { ...defaults, ...raw };
  const dateTime = new Date(raw.atMs ?? Date.now()).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const date = dateTime.slice(0, 8);
  const scope = `${date}/us-east-1/s3/aws4_request`;
  const isPresigned = raw.expires !== undefined;
  const payloadHash = raw.payloadHash ?? (isPresigned ? 'UNSIGNED-PAYLOAD' : sha256Of(raw.body ?? ''));
  const headers: Record<string, string> = { host, ...raw.headers };
  if (!isPresigned) Object.assign(headers, { 'x-amz-date': dateTime, 'x-amz-content-sha256': payloadHash });
  const names = Object.keys(headers).sort();
  const query: Record<string, string> = { ...raw.query };
  if (isPresigned) {
    Object.assign(query, {
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': `${accessKeyId}/${scope}`,
      'X-Amz-Date': dateTime,
      'X-Amz-Expires': String(raw.expires),
      'X-Amz-SignedHeaders': names.join(';'),
    });
  }
  const pairs = Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort();
  const canonical = [
    raw.method,
    raw.path,
    pairs.join('&'),
    ...names.map((name) => `${name}:${headers[name]?.trim()}`),
    '',
    names.join(';'),
    payloadHash,
  ].join('\n');
  const key = ['us-east-1', 's3', 'aws4_request'].reduce<Buffer>(hmacOf, hmacOf(`AWS4${secretAccessKey}`, date));
  const stamp = `${dateTime}\n${scope}`;
  const signature = hmacOf(key, `AWS4-HMAC-SHA256\n${stamp}\n${sha256Of(canonical)}`).toString('hex');
  if (isPresigned) pairs.push(`X-Amz-Signature=${signature}`);
  else {
    headers['authorization'] =
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  }
  const target = pairs.length === 0 ? raw.path : `${raw.path}?${pairs.join('&')}`;
  return { headers: { ...headers, ...raw.unsignedHeaders }, target, signature, key, stamp };
}

/** Sends exactly `headers` and `body`, on a connection of its own. */
export function sendRaw(
  endpoint: string,
  message: {
    readonly method: string;
    readonly target: string;
    readonly headers: Readonly<Record<string, string>>;
    readonly body?: Uint8Array | string;
  },
): Promise<RawAnswer> {
  const { hostname, port } = new URL(endpoint);
  return new Promise((done, reject) => {
    const { method, target, headers, body } = message;
    const length =
      body === undefined || 'content-length' in headers ? {} : { 'content-length': Buffer.byteLength(body) };
    const outer = request(
      { host: hostname, port, method, path: target, headers: { ...headers, ...length }, agent: false },
      (inner) => {
        buffer(inner).then((bytes) => {
          const text = bytes.toString();
          const code = /<Code>([^<]*)<\/Code>/.exec(text)?.[1];
          done({ status: inner.statusCode ?? 0, headers: inner.headers, body: bytes, text, code });
        }, reject);
      },
    );
    outer.on('error', reject);
    outer.end(body);
  });
}
