import type { FastifyInstance } from 'fastify';
import { defaultTenant, parseFileId } from '../../base/ids.ts';
import type { CompiledApiOptions } from '../options.ts';
import type { ServerDeps } from '../ports.ts';
import { presentFile } from '../present/file.ts';
import { presentList } from '../present/list.ts';
import { saveUpload } from '../save-upload.ts';
import { errorResponses } from '../schemas/error.schema.ts';
import {
  deletedFileSchema,
  type FileListQuery,
  type FileParams,
  fileListQuerySchema,
  fileListSchema,
  fileObjectSchema,
  fileParamsSchema,
} from '../schemas/file.schema.ts';

const tenant = defaultTenant;

export function registerFileRoutes(app: FastifyInstance, { batches }: ServerDeps, options: CompiledApiOptions): void {
  const byId = { params: fileParamsSchema };

  app.post(
    '/v1/files',
    { schema: { response: { 200: fileObjectSchema, ...errorResponses } } },
    async (request, reply) => presentFile(await saveUpload(batches, tenant, options, request, reply)),
  );

  app.get<{ Querystring: FileListQuery }>(
    '/v1/files',
    { schema: { querystring: fileListQuerySchema, response: { 200: fileListSchema, ...errorResponses } } },
    async ({ query: { purpose, order, after, limit } }) => {
      const page = await batches.listFiles(tenant, {
        order,
        limit,
        ...(purpose === undefined ? {} : { purpose }),
        ...(after === undefined ? {} : { after: parseFileId(after) }),
      });
      return presentList(page.data.map(presentFile), page.hasMore);
    },
  );

  app.get<{ Params: FileParams }>(
    '/v1/files/:file_id',
    { schema: { ...byId, response: { 200: fileObjectSchema, ...errorResponses } } },
    async ({ params }) => presentFile(await batches.getFile(tenant, parseFileId(params.file_id))),
  );

  // no schema for success: these are the file's own bytes, passed on as they come from the store
  app.get<{ Params: FileParams }>(
    '/v1/files/:file_id/content',
    { schema: { ...byId, response: errorResponses } },
    async ({ params }, reply) => {
      const content = await batches.openFileContent(tenant, parseFileId(params.file_id));
      // never a type that a browser would run
      return reply
        .type('application/octet-stream')
        .header('x-content-type-options', 'nosniff')
        .header('content-length', content.bytes)
        .send(content.stream);
    },
  );

  app.delete<{ Params: FileParams }>(
    '/v1/files/:file_id',
    { schema: { ...byId, response: { 200: deletedFileSchema, ...errorResponses } } },
    async ({ params }) => {
      const id = parseFileId(params.file_id);
      await batches.deleteFile(tenant, id);
      return { id, object: 'file', deleted: true };
    },
  );
}
