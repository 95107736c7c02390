import { createHash } from 'node:crypto';
import { compileWriteCondition, evaluateReadConditions, preconditionFailed } from '../conditions.ts';
import { type Route, type S3Request, xmlResponse } from '../exchange.ts';
import { type ObjectMeta, readChunks } from '../object-file.ts';
import { notImplemented, S3Error } from '../s3-error.ts';
import { readStoredHeaders } from '../stored-headers.ts';
import { decode } from '../uri.ts';
import { noSuchKey } from './get-object.ts';

export const copyObject: Route = async (request, context) => {
  const { bucket, key } = request;
  const source = parseSource(request.header('x-amz-copy-source') ?? '');
  const directive = request.header('x-amz-metadata-directive') ?? 'COPY';
  if (directive !== 'COPY' && directive !== 'REPLACE') {
    throw new S3Error('InvalidArgument', 'x-amz-metadata-directive must be COPY or REPLACE');
  }
  if (directive === 'COPY' && source.bucket === bucket && source.key === key) {
    throw new S3Error('InvalidRequest', 'an object is copied to itself only with new metadata');
  }
  const condition = compileWriteCondition(request.header);
  context.store.checkBucket(bucket);
  const found = await context.store.open(source.bucket, source.key);
  if (found === undefined) throw noSuchKey(source.key);
  let isRead = false;
  let meta: ObjectMeta;
  try {
    checkSource(request, found.meta);
    const stored =
      directive === 'REPLACE'
        ? readStoredHeaders(request)
        : { headers: found.meta.headers, metadata: found.meta.metadata };
    const md5 = createHash('md5');
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      isRead = true;
      for await (const chunk of readChunks(found)) {
        md5.update(chunk);
        yield chunk;
      }
    };
    // a copy is one object, whatever parts its source came in: its etag is the md5 of the bytes, and a checksum of checksums is dropped
    const checksum = found.meta.checksum?.type === 'FULL_OBJECT' ? found.meta.checksum : null;
    meta = await context.store.put(bucket, key, {
      chunks: chunks(),
      condition,
      meta: () => ({
        key,
        bytes: found.meta.bytes,
        etag: md5.digest('hex'),
        lastModifiedMs: context.nowMs(),
        ...stored,
        checksum,
      }),
    });
  } finally {
    if (!isRead) await found.file.close();
  }
  context.announce({ name: 'ObjectCreated:Copy', bucket, key, bytes: meta.bytes, etag: meta.etag }, request);
  return xmlResponse([
    'CopyObjectResult',
    [
      ['LastModified', new Date(meta.lastModifiedMs).toISOString()],
      ['ETag', `"${meta.etag}"`],
    ],
  ]);
};

/** `[/]<bucket>/<key>`, percent-encoded. */
function parseSource(header: string): { readonly bucket: string; readonly key: string } {
  if (/\?versionId=/.test(header)) throw notImplemented('copying a version');
  const path = decode(header).replace(/^\//, '');
  const slash = path.indexOf('/');
  if (slash < 1 || slash === path.length - 1) {
    throw new S3Error('InvalidArgument', 'x-amz-copy-source must be <bucket>/<key>');
  }
  return { bucket: path.slice(0, slash), key: path.slice(slash + 1) };
}

function checkSource(request: S3Request, meta: ObjectMeta): void {
  if (evaluateReadConditions(request.header, meta, 'x-amz-copy-source-') === 'read') return;
  throw preconditionFailed('x-amz-copy-source-if-none-match');
}
