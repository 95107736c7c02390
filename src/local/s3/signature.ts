import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { S3Error } from './s3-error.ts';
import { encodePath, encodeUri, findParameter, type QueryParameters, type RequestTarget } from './uri.ts';

/**
 * Signature version 4, checked. Source: AWS, "Authenticating Requests (AWS Signature Version 4)" for S3.
 * Any region is accepted in the credential scope: this server has none.
 */
export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface SignedRequest {
  readonly method: string;
  readonly target: RequestTarget;
  /** Lower-case names, every value of a repeated header by itself. */
  readonly headers: Readonly<Record<string, readonly string[] | undefined>>;
}

/** How the body is secured. */
export type Payload =
  | { readonly type: 'unsigned' }
  | { readonly type: 'sha256'; readonly hex: string }
  | { readonly type: 'chunked'; readonly hasTrailer: boolean; readonly signing: ChunkSigning | null };

/** What the signatures of an aws-chunked body continue. */
export interface ChunkSigning {
  readonly key: Buffer;
  /** `<date-time>\n<scope>`, the middle of every string to sign. */
  readonly stamp: string;
  readonly seed: string;
}

interface Claim {
  readonly accessKeyId: string;
  readonly scope: readonly string[];
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly dateTime: string;
  readonly payloadHash: string;
  readonly query: QueryParameters;
}

const algorithm = 'AWS4-HMAC-SHA256';
const maxSkewMs = 15 * 60 * 1000;
const maxExpiresSeconds = 7 * 24 * 3600;

/** Throws the protocol's own error unless the request was signed with the credentials, now. */
export function verifySignature(request: SignedRequest, credentials: S3Credentials, nowMs: number): Payload {
  const isPresigned = findParameter(request.target.query, 'X-Amz-Algorithm') !== undefined;
  const claim = isPresigned ? readPresigned(request, nowMs) : readHeader(request, nowMs);
  if (headerOf(request, 'x-amz-security-token') !== undefined) {
    throw new S3Error('InvalidToken', 'session tokens are not known here');
  }
  if (claim.accessKeyId !== credentials.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', 'the access key id does not exist here');
  }
  checkSignedHeaders(request, claim);
  const [date = '', region = ''] = claim.scope;
  const key = signingKey(credentials.secretAccessKey, date, region);
  const stamp = `${claim.dateTime}\n${claim.scope.join('/')}`;
  const expected = sign(key, `${algorithm}\n${stamp}\n${sha256(canonicalRequest(request, claim))}`);
  if (!isSameHex(expected, claim.signature)) {
    throw new S3Error(
      'SignatureDoesNotMatch',
      'the signature does not match: check the secret key and what was signed',
    );
  }
  return toPayload(claim.payloadHash, { key, stamp, seed: claim.signature });
}

/** Query parameters that belong to the signature, not to the operation. */
export function isSignatureParameter(name: string): boolean {
  return /^X-Amz-(?:Algorithm|Credential|Date|Expires|SignedHeaders|Signature|Security-Token|Content-Sha256)$/i.test(
    name,
  );
}

export function sign(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex');
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** In constant time; false for text that is no hex digest. */
export function isSameHex(expected: string, given: string): boolean {
  return /^[0-9a-f]{64}$/.test(given) && timingSafeEqual(Buffer.from(expected), Buffer.from(given));
}

function readHeader(request: SignedRequest, nowMs: number): Claim {
  const authorization = headerOf(request, 'authorization');
  if (authorization === undefined) throw new S3Error('AccessDenied', 'the request is not signed');
  const fields =
    /^AWS4-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([^,\s]+)\s*$/.exec(
      authorization,
    );
  const [, credential, signedHeaders, signature] = fields ?? [];
  if (credential === undefined || signedHeaders === undefined || signature === undefined) {
    throw new S3Error('AuthorizationHeaderMalformed', `the authorization header is not of the form ${algorithm}`);
  }
  const payloadHash = headerOf(request, 'x-amz-content-sha256');
  if (payloadHash === undefined) {
    throw new S3Error('MissingSecurityHeader', 'the header x-amz-content-sha256 is missing');
  }
  const dateTime = headerOf(request, 'x-amz-date') ?? '';
  const signedMs = parseDateTime(dateTime);
  if (signedMs === undefined) throw new S3Error('AccessDenied', 'a valid x-amz-date header is required');
  const scope = parseScope(credential, dateTime, 'AuthorizationHeaderMalformed');
  checkSkew(signedMs, nowMs);
  return {
    ...scope,
    signedHeaders: signedHeaders.split(';'),
    signature,
    dateTime,
    payloadHash,
    query: request.target.query,
  };
}

function readPresigned(request: SignedRequest, nowMs: number): Claim {
  const { query } = request.target;
  const required = (name: string): string => {
    const value = findParameter(query, name);
    if (value !== undefined) return value;
    throw new S3Error('AuthorizationQueryParametersError', `the query parameter ${name} is missing`);
  };
  if (required('X-Amz-Algorithm') !== algorithm) {
    throw new S3Error('AuthorizationQueryParametersError', `X-Amz-Algorithm must be ${algorithm}`);
  }
  if (findParameter(query, 'X-Amz-Security-Token') !== undefined) {
    throw new S3Error('InvalidToken', 'session tokens are not known here');
  }
  const dateTime = required('X-Amz-Date');
  const signedMs = parseDateTime(dateTime);
  const expiresSeconds = Number(required('X-Amz-Expires'));
  if (
    signedMs === undefined ||
    !Number.isInteger(expiresSeconds) ||
    expiresSeconds < 1 ||
    expiresSeconds > maxExpiresSeconds
  ) {
    throw new S3Error('AuthorizationQueryParametersError', `X-Amz-Expires must be 1 to ${maxExpiresSeconds} seconds`);
  }
  if (nowMs > signedMs + expiresSeconds * 1000) throw new S3Error('AccessDenied', 'the request has expired');
  if (signedMs > nowMs + maxSkewMs) throw new S3Error('AccessDenied', 'the request is not valid yet');
  return {
    ...parseScope(required('X-Amz-Credential'), dateTime, 'AuthorizationQueryParametersError'),
    signedHeaders: required('X-Amz-SignedHeaders').split(';'),
    signature: required('X-Amz-Signature'),
    dateTime,
    payloadHash:
      findParameter(query, 'X-Amz-Content-Sha256') ?? headerOf(request, 'x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD',
    query: query.filter(([name]) => name !== 'X-Amz-Signature'),
  };
}

/** `<key id>/<date>/<region>/s3/aws4_request`; a key id may contain slashes itself. */
function parseScope(
  credential: string,
  dateTime: string,
  code: 'AuthorizationHeaderMalformed' | 'AuthorizationQueryParametersError',
): Pick<Claim, 'accessKeyId' | 'scope'> {
  const parts = credential.split('/');
  const scope = parts.slice(-4);
  const [date, , service, terminal] = scope;
  if (parts.length < 5 || service !== 's3' || terminal !== 'aws4_request' || date !== dateTime.slice(0, 8)) {
    throw new S3Error(code, 'the credential must be <key id>/<date of the request>/<region>/s3/aws4_request');
  }
  return { accessKeyId: parts.slice(0, -4).join('/'), scope };
}

/** Whoever changes an unsigned header changes the request: AWS wants host and every x-amz-* header signed. */
function checkSignedHeaders(request: SignedRequest, { signedHeaders }: Claim): void {
  const signed = new Set(signedHeaders);
  const missing = Object.keys(request.headers).filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !signed.has(name),
  );
  if (!signed.has('host')) missing.push('host');
  if (missing.length === 0) return;
  throw new S3Error('AccessDenied', `there are headers that were not signed: ${[...new Set(missing)].join(', ')}`);
}

function checkSkew(signedMs: number, nowMs: number): void {
  if (Math.abs(nowMs - signedMs) <= maxSkewMs) return;
  throw new S3Error('RequestTimeTooSkewed', 'the time of the request differs too much from the time here', {
    ServerTime: new Date(nowMs).toISOString(),
    MaxAllowedSkewMilliseconds: String(maxSkewMs),
  });
}

function canonicalRequest(request: SignedRequest, claim: Claim): string {
  const query = claim.query
    .map(([name, value]) => [encodeUri(name), encodeUri(value)] as const)
    .sort((a, b) => compareText(a[0], b[0]) || compareText(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = claim.signedHeaders.map((name) => {
    const values = request.headers[name] ?? [];
    return `${name}:${values.map((value) => value.trim().replace(/ +/g, ' ')).join(',')}\n`;
  });
  return [
    request.method,
    encodePath(request.target.path),
    query,
    headers.join(''),
    claim.signedHeaders.join(';'),
    claim.payloadHash,
  ].join('\n');
}

function toPayload(payloadHash: string, signing: ChunkSigning): Payload {
  switch (payloadHash) {
    case 'UNSIGNED-PAYLOAD':
      return { type: 'unsigned' };
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { type: 'chunked', hasTrailer: true, signing: null };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { type: 'chunked', hasTrailer: false, signing };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return { type: 'chunked', hasTrailer: true, signing };
  }
  if (/^[0-9a-f]{64}$/.test(payloadHash)) return { type: 'sha256', hex: payloadHash };
  throw new S3Error('InvalidArgument', 'x-amz-content-sha256 is neither a sha256 nor a payload kind known here');
}

function signingKey(secret: string, date: string, region: string): Buffer {
  return [date, region, 's3', 'aws4_request'].reduce<Buffer>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    Buffer.from(`AWS4${secret}`),
  );
}

function headerOf(request: SignedRequest, name: string): string | undefined {
  return request.headers[name]?.join(',');
}

/** `20261123T221600Z` → milliseconds. */
function parseDateTime(text: string): number | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second] = parts;
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
  return Number.isNaN(ms) ? undefined : ms;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
