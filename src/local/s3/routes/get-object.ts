import { parseRange } from '../byte-range.ts';
import { evaluateReadConditions } from '../conditions.ts';
import { emptyResponse, type Route, type S3Request, type S3Response } from '../exchange.ts';
import { type ObjectMeta, readBody } from '../object-file.ts';
import { S3Error } from '../s3-error.ts';
import { writeStoredHeaders } from '../stored-headers.ts';
import { findParameter } from '../uri.ts';

export const getObject: Route = async (request, { store }) => {
  const recent = store.findRecent(request.bucket, request.key);
  if (recent !== undefined) {
    const { status, headers, start, end } = planAnswer(request, recent.meta);
    return { status, headers, body: recent.body.subarray(start, end) };
  }
  const found = await store.open(request.bucket, request.key);
  if (found === undefined) throw noSuchKey(request.key);
  let isHandedOver = false;
  try {
    const head = planAnswer(request, found.meta);
    if (head.end === head.start) return emptyResponse(head.status, head.headers);
    isHandedOver = true;
    return { status: head.status, headers: head.headers, body: await readBody(found.file, head.start, head.end) };
  } finally {
    if (!isHandedOver) await found.file.close();
  }
};

export const headObject: Route = async (request, { store }) => {
  const meta = await store.find(request.bucket, request.key);
  if (meta === undefined) throw noSuchKey(request.key);
  const head = planAnswer(request, meta);
  return emptyResponse(head.status, head.headers);
};

export function noSuchKey(key: string): S3Error {
  return new S3Error('NoSuchKey', 'the key does not exist', { Key: key });
}

interface PlannedAnswer extends Omit<S3Response, 'body'> {
  readonly start: number;
  readonly end: number;
}

function planAnswer(request: S3Request, meta: ObjectMeta): PlannedAnswer {
  const isUnchanged = evaluateReadConditions(request.header, meta) === 'not-modified';
  const range = isUnchanged ? undefined : parseRange(request.header('range'), meta.bytes);
  const { start, end } = range ?? { start: 0, end: meta.bytes };
  // a checksum is of the whole body
  const isChecksumAsked = request.header('x-amz-checksum-mode') === 'ENABLED' && range === undefined;
  const headers = { ...writeStoredHeaders(meta, isChecksumAsked), ...readOverrides(request) };
  if (isUnchanged) return { status: 304, headers, start: 0, end: 0 };
  headers['content-length'] = String(end - start);
  if (range === undefined) return { status: 200, headers, start, end };
  headers['content-range'] = `bytes ${start}-${end - 1}/${meta.bytes}`;
  return { status: 206, headers, start, end };
}

/** `response-content-type=…` and its like, for links that name what they fetch. */
export const overrideParameters = [
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
] as const;

function readOverrides({ query }: S3Request): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of overrideParameters) {
    const value = findParameter(query, name);
    if (value === undefined) continue;
    if (/[^\t\u0020-\u007e]/.test(value)) throw new S3Error('InvalidArgument', `${name} must be printable ASCII`);
    headers[name.slice('response-'.length)] = value;
  }
  return headers;
}
