import { createHmac } from 'node:crypto';
import { sha256Hex } from '../base/hash.ts';

/**
 * Signature version 4 of a request whose body is there, in headers. Source: AWS, "Authenticating Requests (AWS Signature
 * Version 4)" for S3. Text is ASCII, apart from the body.
 */
export interface SignableRequest {
  readonly method: string;
  /** Percent-encoded, without a query. */
  readonly path: string;
  /** Lower-case names; all of them are signed. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
}

export interface S3Identity {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

const algorithm = 'AWS4-HMAC-SHA256';
const emptySha256 = sha256Hex('');

export class RequestSigner {
  readonly #region: string;
  /** The key of one day and secret: it takes four digests, a request only two more. */
  #key: { readonly secret: string; readonly day: string; readonly bytes: Buffer } | null = null;

  constructor(region: string) {
    this.#region = region;
  }

  /** The request's headers and those that prove who sends it. */
  sign(request: SignableRequest, identity: S3Identity, nowMs: number): Record<string, string> {
    const { method, path, body } = request;
    // 2026-11-26T12:30:00.000Z → 20261126T123000Z
    const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = time.slice(0, 8);
    const payload = body === null || body.byteLength === 0 ? emptySha256 : sha256Hex(body);
    const headers: Record<string, string> = {
      ...request.headers,
      'x-amz-content-sha256': payload,
      'x-amz-date': time,
    };
    if (identity.sessionToken !== undefined) headers['x-amz-security-token'] = identity.sessionToken;
    const names = Object.keys(headers).sort();
    const lines = names.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, ' ')}\n`).join('');
    const signed = names.join(';');
    const scope = `${day}/${this.#region}/s3/aws4_request`;
    const canonical = `${method}\n${path}\n\n${lines}\n${signed}\n${payload}`;
    const text = `${algorithm}\n${time}\n${scope}\n${sha256Hex(canonical)}`;
    const signature = hmac(this.#keyOf(identity.secretAccessKey, day), text).toString('hex');
    headers['authorization'] =
      `${algorithm} Credential=${identity.accessKeyId}/${scope}, SignedHeaders=${signed}, Signature=${signature}`;
    return headers;
  }

  #keyOf(secret: string, day: string): Buffer {
    if (this.#key?.secret !== secret || this.#key.day !== day) {
      const bytes = [day, this.#region, 's3', 'aws4_request'].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`));
      this.#key = { secret, day, bytes };
    }
    return this.#key.bytes;
  }
}

/** RFC 3986, as signatures want it: everything but unreserved characters and the slash, upper-case hex. */
export function encodeKey(key: string): string {
  const encoded = encodeURIComponent(key).replaceAll('%2F', '/');
  return encoded.replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
