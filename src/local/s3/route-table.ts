import type { Route } from './exchange.ts';
import { createBucket, getBucketLocation, headBucket, listBuckets } from './routes/buckets.ts';
import { deleteObject, deleteObjects } from './routes/delete-object.ts';
import { getObject, headObject, overrideParameters } from './routes/get-object.ts';
import { listObjects, listParameters } from './routes/list-objects.ts';
import { abortUpload, completeUpload, createUpload, listParts, listUploads, uploadPart } from './routes/multipart.ts';
import { putObject } from './routes/put-object.ts';
import { notImplemented, S3Error } from './s3-error.ts';
import type { QueryParameters } from './uri.ts';

type Level = 'service' | 'bucket' | 'object';

export interface RouteEntry {
  readonly method: string;
  readonly level: Level;
  /** Query parameters that make it this operation. */
  readonly marks: readonly string[];
  /** Others that it understands. Any further one makes it an operation we do not know. */
  readonly options: readonly string[];
  readonly run: Route;
  /** `x-amz-checksum-*` headers are about the object, not about the body. */
  readonly isChecksumOfObject?: boolean;
}

const table: readonly RouteEntry[] = [
  { method: 'GET', level: 'service', marks: [], options: [], run: listBuckets },
  { method: 'PUT', level: 'bucket', marks: [], options: [], run: createBucket },
  { method: 'HEAD', level: 'bucket', marks: [], options: [], run: headBucket },
  { method: 'GET', level: 'bucket', marks: ['location'], options: [], run: getBucketLocation },
  { method: 'GET', level: 'bucket', marks: ['list-type'], options: listParameters, run: listObjects },
  { method: 'GET', level: 'bucket', marks: ['uploads'], options: ['prefix', 'max-uploads'], run: listUploads },
  { method: 'POST', level: 'bucket', marks: ['delete'], options: [], run: deleteObjects },
  { method: 'PUT', level: 'object', marks: [], options: [], run: putObject },
  { method: 'GET', level: 'object', marks: [], options: overrideParameters, run: getObject },
  { method: 'HEAD', level: 'object', marks: [], options: overrideParameters, run: headObject },
  { method: 'DELETE', level: 'object', marks: [], options: [], run: deleteObject },
  { method: 'POST', level: 'object', marks: ['uploads'], options: [], run: createUpload },
  { method: 'PUT', level: 'object', marks: ['partNumber', 'uploadId'], options: [], run: uploadPart },
  { method: 'POST', level: 'object', marks: ['uploadId'], options: [], run: completeUpload, isChecksumOfObject: true },
  { method: 'DELETE', level: 'object', marks: ['uploadId'], options: [], run: abortUpload },
  {
    method: 'GET',
    level: 'object',
    marks: ['uploadId'],
    options: ['max-parts', 'part-number-marker'],
    run: listParts,
  },
];

/** The SDKs say which operation they mean; nothing depends on it. */
const ignored = ['x-id'];

/**
 * The operation of a request. An unknown sub-resource (`?tagging`) is never taken for an operation on the object itself.
 * Throws `MethodNotAllowed` and `NotImplemented`.
 */
export function findRoute(method: string, bucket: string, key: string, query: QueryParameters): RouteEntry {
  const level: Level = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object';
  const ofMethod = table.filter((entry) => entry.method === method && entry.level === level);
  if (ofMethod.length === 0) {
    throw new S3Error('MethodNotAllowed', `${method} is not allowed on a ${level}`, { Method: method });
  }
  const names = query.map(([name]) => name).filter((name) => !ignored.includes(name));
  const found = ofMethod.find(
    ({ marks, options }) =>
      marks.every((mark) => names.includes(mark)) &&
      names.every((name) => marks.includes(name) || options.includes(name)),
  );
  if (found !== undefined && new Set(names).size === names.length) return found;
  throw notImplemented(`${method} of a ${level} with ${names.join(', ') || 'no sub-resource'}`);
}
