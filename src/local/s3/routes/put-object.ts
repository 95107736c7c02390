import { compileWriteCondition } from '../conditions.ts';
import { emptyResponse, type Route } from '../exchange.ts';
import { readStoredHeaders, writeChecksumHeaders } from '../stored-headers.ts';
import { copyObject } from './copy-object.ts';

export const putObject: Route = async (request, context) => {
  if (request.header('x-amz-copy-source') !== undefined) return copyObject(request, context);
  const { bucket, key, body } = request;
  const stored = readStoredHeaders(request);
  const meta = await context.store.put(bucket, key, {
    chunks: body.chunks(),
    condition: compileWriteCondition(request.header),
    meta: () => {
      const { bytes, md5, checksum } = body.digests();
      return { key, bytes, etag: md5, lastModifiedMs: context.nowMs(), ...stored, checksum };
    },
  });
  context.announce({ name: 'ObjectCreated:Put', bucket, key, bytes: meta.bytes, etag: meta.etag }, request);
  return emptyResponse(200, { etag: `"${meta.etag}"`, ...writeChecksumHeaders(meta) });
};
