import { checksumAlgorithms, checksumHeader } from './checksums.ts';
import type { S3Request } from './exchange.ts';
import type { ObjectMeta } from './object-file.ts';
import { notImplemented, S3Error } from './s3-error.ts';

/** Headers of a write that are given back by reads. */
const kept = [
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'expires',
];
const metadataPrefix = 'x-amz-meta-';
const maxMetadataBytes = 2048;

/** x-amz-* headers with a meaning here, or with none that could be missed; every other one is refused. */
const understood = new Set([
  'x-amz-bucket-object-lock-enabled',
  'x-amz-checksum-algorithm',
  'x-amz-checksum-mode',
  'x-amz-checksum-type',
  'x-amz-content-sha256',
  'x-amz-copy-source',
  'x-amz-copy-source-if-match',
  'x-amz-copy-source-if-modified-since',
  'x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-unmodified-since',
  'x-amz-date',
  'x-amz-decoded-content-length',
  'x-amz-metadata-directive',
  'x-amz-mp-object-size',
  'x-amz-request-payer',
  'x-amz-sdk-checksum-algorithm',
  'x-amz-trailer',
  'x-amz-user-agent',
  ...checksumAlgorithms.map(checksumHeader),
]);

/** Headers that ask for what is so anyway. */
const harmless: Readonly<Record<string, readonly string[]>> = {
  'x-amz-acl': ['private', 'bucket-owner-full-control'],
  'x-amz-bucket-object-lock-enabled': ['false'],
  'x-amz-object-ownership': ['BucketOwnerEnforced'],
  'x-amz-storage-class': ['STANDARD'],
};

/** Throws `NotImplemented` for a header whose meaning would be lost: an access list, encryption, tags, a lock. */
export function checkAmzHeaders({ headerNames, header }: Pick<S3Request, 'headerNames' | 'header'>): void {
  for (const name of headerNames) {
    if (!name.startsWith('x-amz-') || name.startsWith(metadataPrefix)) continue;
    const allowed = Object.hasOwn(harmless, name) ? harmless[name] : undefined;
    const isFine = allowed === undefined ? understood.has(name) : allowed.includes(header(name) ?? '');
    if (!isFine) throw notImplemented(`the header ${name} with this value`);
  }
}

/** Throws `MetadataTooLarge`. */
export function readStoredHeaders(request: S3Request): Pick<ObjectMeta, 'headers' | 'metadata'> {
  const headers: Record<string, string> = {};
  for (const name of kept) {
    const value = name === 'content-encoding' ? contentEncodingOf(request) : request.header(name);
    if (value !== undefined && value !== '') headers[name] = value;
  }
  const metadata: Record<string, string> = {};
  let bytes = 0;
  for (const name of request.headerNames) {
    if (!name.startsWith(metadataPrefix)) continue;
    const value = request.header(name) ?? '';
    metadata[name.slice(metadataPrefix.length)] = value;
    bytes += name.length - metadataPrefix.length + value.length;
  }
  if (bytes > maxMetadataBytes) {
    throw new S3Error('MetadataTooLarge', `user metadata has ${bytes} bytes, ${maxMetadataBytes} are allowed`);
  }
  return { headers, metadata };
}

/** Headers of an answer to GET and HEAD. */
export function writeStoredHeaders(meta: ObjectMeta, isChecksumAsked: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'binary/octet-stream',
    ...meta.headers,
    etag: `"${meta.etag}"`,
    'last-modified': new Date(meta.lastModifiedMs).toUTCString(),
    'accept-ranges': 'bytes',
  };
  for (const [name, value] of Object.entries(meta.metadata)) headers[`${metadataPrefix}${name}`] = value;
  return isChecksumAsked ? { ...headers, ...writeChecksumHeaders(meta) } : headers;
}

export function writeChecksumHeaders({ checksum }: ObjectMeta): Record<string, string> {
  if (checksum === null) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** aws-chunked is the transfer's coding, not the object's. */
function contentEncodingOf(request: S3Request): string | undefined {
  return request
    .header('content-encoding')
    ?.split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== 'aws-chunked')
    .join(', ');
}
