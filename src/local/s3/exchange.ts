import type { Readable } from 'node:stream';
import type { DiskStore } from './disk-store.ts';
import type { DiskUploads } from './disk-uploads.ts';
import type { ObjectCreatedEvent } from './events.ts';
import type { RequestBody } from './request-body.ts';
import { S3Error } from './s3-error.ts';
import { findParameter, type QueryParameters } from './uri.ts';
import { writeXml, type XmlNode } from './xml.ts';

/** One authenticated request, as routes see it. */
export interface S3Request {
  readonly method: string;
  /** Empty for requests about the service. */
  readonly bucket: string;
  /** Empty for requests about a bucket. */
  readonly key: string;
  /** Without the parameters of a presigned URL. */
  readonly query: QueryParameters;
  readonly headerNames: readonly string[];
  readonly header: (name: string) => string | undefined;
  readonly body: RequestBody;
  readonly requestId: string;
}

export interface S3Response {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** With a stream the headers carry its length. */
  readonly body: string | Buffer | Readable | null;
}

/** What routes work on. */
export interface S3Context {
  readonly store: DiskStore;
  readonly uploads: DiskUploads;
  readonly nowMs: () => number;
  readonly announce: (event: Omit<ObjectCreatedEvent, 'atMs' | 'requestId'>, request: S3Request) => void;
}

export type Route = (request: S3Request, context: S3Context) => Promise<S3Response>;

export function xmlResponse(root: XmlNode): S3Response {
  return { status: 200, headers: { 'content-type': 'application/xml' }, body: writeXml(root) };
}

export function emptyResponse(status: number, headers: Readonly<Record<string, string>> = {}): S3Response {
  return { status, headers, body: null };
}

/** A query parameter that is a whole number in a range; throws `InvalidArgument`. */
export function readIntegerParameter(
  query: QueryParameters,
  name: string,
  limits: { readonly fallback: number; readonly min: number; readonly max: number },
): number {
  const text = findParameter(query, name);
  if (text === undefined) return limits.fallback;
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= limits.min && value <= limits.max) return value;
  throw new S3Error('InvalidArgument', `${name} must be a whole number from ${limits.min} to ${limits.max}`, {
    ArgumentName: name,
    ArgumentValue: text,
  });
}
