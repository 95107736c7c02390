import {
  type Checksum,
  type ChecksumAlgorithm,
  checksumAlgorithms,
  checksumHeader,
  isChecksumAlgorithm,
} from '../checksums.ts';
import { compileWriteCondition } from '../conditions.ts';
import { type ListedPart, maxPartNumber, type Upload, type UploadPart } from '../disk-uploads.ts';
import { emptyResponse, type Route, readIntegerParameter, type S3Request, xmlResponse } from '../exchange.ts';
import type { ObjectMeta } from '../object-file.ts';
import { notImplemented, S3Error } from '../s3-error.ts';
import { readStoredHeaders, writeChecksumHeaders } from '../stored-headers.ts';
import { findParameter } from '../uri.ts';
import { findChildText, parseXml, type XmlElement, type XmlNode } from '../xml.ts';

/** 10,000 parts with an etag and a checksum each. */
const maxXmlBytes = 8 * 1024 * 1024;

export const createUpload: Route = async (request, { uploads, nowMs }) => {
  const { bucket, key } = request;
  const checksumAlgorithm = readAlgorithm(request.header('x-amz-checksum-algorithm'));
  const checksumType = readChecksumType(request.header('x-amz-checksum-type'));
  const upload = await uploads.create({
    bucket,
    key,
    initiatedMs: nowMs(),
    ...readStoredHeaders(request),
    checksumAlgorithm,
    checksumType,
  });
  const answer = xmlResponse([
    'InitiateMultipartUploadResult',
    [
      ['Bucket', bucket],
      ['Key', key],
      ['UploadId', upload.id],
    ],
  ]);
  if (checksumAlgorithm === null) return answer;
  return { ...answer, headers: { ...answer.headers, 'x-amz-checksum-algorithm': checksumAlgorithm } };
};

export const uploadPart: Route = async (request, { uploads, nowMs }) => {
  if (request.header('x-amz-copy-source') !== undefined) throw notImplemented('copying into a part');
  const partNumber = readIntegerParameter(request.query, 'partNumber', { fallback: 0, min: 1, max: maxPartNumber });
  const upload = await uploads.get(request.bucket, request.key, uploadIdOf(request));
  const meta = await uploads.putPart(upload, partNumber, request.body.chunks(), () => {
    const { bytes, md5, checksum } = request.body.digests();
    return { key: upload.key, bytes, etag: md5, lastModifiedMs: nowMs(), headers: {}, metadata: {}, checksum };
  });
  return emptyResponse(200, { etag: `"${meta.etag}"`, ...writeChecksumHeaders(meta) });
};

export const completeUpload: Route = async (request, context) => {
  const { bucket, key } = request;
  const listed = parseParts(await request.body.text(maxXmlBytes));
  const condition = compileWriteCondition(request.header);
  const upload = await context.uploads.get(bucket, key, uploadIdOf(request));
  const meta = await context.uploads.complete(upload, listed, {
    condition,
    lastModifiedMs: context.nowMs(),
    check: (finished) => checkExpectations(request, finished),
  });
  context.announce(
    { name: 'ObjectCreated:CompleteMultipartUpload', bucket, key, bytes: meta.bytes, etag: meta.etag },
    request,
  );
  return xmlResponse([
    'CompleteMultipartUploadResult',
    [
      ['Location', `/${bucket}/${key}`],
      ['Bucket', bucket],
      ['Key', key],
      ['ETag', `"${meta.etag}"`],
      meta.checksum === null ? undefined : [`Checksum${meta.checksum.algorithm}`, meta.checksum.value],
      meta.checksum === null ? undefined : ['ChecksumType', meta.checksum.type],
    ],
  ]);
};

export const abortUpload: Route = async (request, { uploads }) => {
  await uploads.abort(await uploads.get(request.bucket, request.key, uploadIdOf(request)));
  return emptyResponse(204);
};

export const listParts: Route = async (request, { uploads }) => {
  const upload = await uploads.get(request.bucket, request.key, uploadIdOf(request));
  const marker = readIntegerParameter(request.query, 'part-number-marker', { fallback: 0, min: 0, max: 2 ** 31 });
  const limit = readIntegerParameter(request.query, 'max-parts', { fallback: 1000, min: 0, max: 2 ** 31 });
  const maxParts = Math.min(limit, 1000);
  const following = (await uploads.listParts(upload)).filter(({ partNumber }) => partNumber > marker);
  const page = following.slice(0, maxParts);
  return xmlResponse([
    'ListPartsResult',
    [
      ['Bucket', upload.bucket],
      ['Key', upload.key],
      ['UploadId', upload.id],
      ['PartNumberMarker', marker],
      ['NextPartNumberMarker', page.at(-1)?.partNumber ?? marker],
      ['MaxParts', maxParts],
      ['IsTruncated', page.length > 0 && page.length < following.length],
      ...page.map(writePart),
    ],
  ]);
};

export const listUploads: Route = async (request, { uploads }) => {
  const prefix = findParameter(request.query, 'prefix') ?? '';
  const maxUploads = readIntegerParameter(request.query, 'max-uploads', { fallback: 1000, min: 1, max: 1000 });
  const all = (await uploads.listUploads(request.bucket)).filter((upload) => upload.key.startsWith(prefix));
  if (all.length > maxUploads) throw notImplemented(`listing more than ${maxUploads} uploads`);
  return xmlResponse([
    'ListMultipartUploadsResult',
    [
      ['Bucket', request.bucket],
      ['Prefix', prefix],
      ['MaxUploads', maxUploads],
      ['IsTruncated', false],
      ...all.map(writeUpload),
    ],
  ]);
};

function writePart({ partNumber, meta }: UploadPart): XmlNode {
  return [
    'Part',
    [
      ['PartNumber', partNumber],
      ['LastModified', new Date(meta.lastModifiedMs).toISOString()],
      ['ETag', `"${meta.etag}"`],
      ['Size', meta.bytes],
      meta.checksum === null ? undefined : [`Checksum${meta.checksum.algorithm}`, meta.checksum.value],
    ],
  ];
}

function writeUpload(upload: Upload): XmlNode {
  return [
    'Upload',
    [
      ['Key', upload.key],
      ['UploadId', upload.id],
      ['StorageClass', 'STANDARD'],
      ['Initiated', new Date(upload.initiatedMs).toISOString()],
    ],
  ];
}

/** What the client knows of the whole object: here a checksum header is not about the request's own body. */
function checkExpectations({ header }: S3Request, meta: ObjectMeta): void {
  const objectBytes = header('x-amz-mp-object-size');
  if (objectBytes !== undefined && objectBytes !== String(meta.bytes)) {
    throw new S3Error('InvalidRequest', `the object has ${meta.bytes} bytes, not ${objectBytes}`);
  }
  for (const algorithm of checksumAlgorithms) {
    const expected = header(checksumHeader(algorithm));
    if (expected === undefined) continue;
    if (meta.checksum?.algorithm !== algorithm) throw notImplemented(`a ${algorithm} the upload was not begun with`);
    if (meta.checksum.value !== expected) {
      throw new S3Error('BadDigest', `the ${algorithm} of the object is not the one sent`);
    }
  }
}

function uploadIdOf(request: S3Request): string {
  return findParameter(request.query, 'uploadId') ?? '';
}

function readAlgorithm(header: string | undefined): ChecksumAlgorithm | null {
  if (header === undefined) return null;
  if (isChecksumAlgorithm(header)) return header;
  throw new S3Error('InvalidRequest', `x-amz-checksum-algorithm must be one of ${checksumAlgorithms.join(', ')}`);
}

function readChecksumType(header: string | undefined): Checksum['type'] | null {
  if (header === undefined || header === 'FULL_OBJECT' || header === 'COMPOSITE') return header ?? null;
  throw new S3Error('InvalidRequest', 'x-amz-checksum-type must be FULL_OBJECT or COMPOSITE');
}

function parseParts(xml: string): readonly ListedPart[] {
  const root = parseXml(xml);
  if (root.name !== 'CompleteMultipartUpload') {
    throw new S3Error('MalformedXML', 'a CompleteMultipartUpload element is expected');
  }
  return root.children.filter(({ name }) => name === 'Part').map(parsePart);
}

function parsePart(part: XmlElement): ListedPart {
  const number = findChildText(part, 'PartNumber')?.trim() ?? '';
  const etag = findChildText(part, 'ETag')
    ?.trim()
    .replace(/^"(.*)"$/, '$1');
  if (!/^\d{1,5}$/.test(number) || etag === undefined) {
    throw new S3Error('MalformedXML', 'a Part element has a PartNumber and an ETag');
  }
  const checksums = checksumAlgorithms.flatMap((algorithm) => {
    const value = findChildText(part, `Checksum${algorithm}`);
    return value === undefined ? [] : [[algorithm, value] as const];
  });
  return { partNumber: Number(number), etag, checksums: new Map(checksums) };
}
