import type { FastifyInstance } from 'fastify';
import { failpoint } from '../../base/failpoint.ts';
import { type BatchId, defaultTenant, parseBatchId } from '../../base/ids.ts';
import { beginNews, buildActivityReader } from '../activity.ts';
import { announceBatch } from '../announce.ts';
import { cancelAndTell } from '../cancel.ts';
import { readIdempotency } from '../idempotency.ts';
import { parseNamedFileId } from '../named-file-id.ts';
import type { ServerDeps } from '../ports.ts';
import { presentBatch } from '../present/batch.ts';
import { presentList } from '../present/list.ts';
import {
  type BatchListQuery,
  type BatchParams,
  type BudgetBody,
  batchListQuerySchema,
  batchListSchema,
  batchObjectSchema,
  batchParamsSchema,
  budgetBodySchema,
  type CreateBatchBody,
  createBatchBodySchema,
  deletedBatchSchema,
} from '../schemas/batch.schema.ts';
import { errorResponses } from '../schemas/error.schema.ts';

const tenant = defaultTenant;

export function registerBatchRoutes(app: FastifyInstance, deps: ServerDeps): void {
  const { batches } = deps;
  const response = { 200: batchObjectSchema, ...errorResponses };

  app.post<{ Body: CreateBatchBody }>(
    '/v1/batches',
    { schema: { body: createBatchBodySchema, response } },
    async ({ body, headers }) => {
      const record = await batches.createBatch({
        tenant,
        inputFileId: parseNamedFileId(body.input_file_id, 'input_file_id'),
        endpoint: body.endpoint,
        completionWindow: body.completion_window,
        metadata: body.metadata ?? null,
        outputExpiresAfterSeconds: body.output_expires_after?.seconds ?? null,
        tokenBudget: body.token_budget ?? null,
        priority: 'batch',
        ...readIdempotency(headers),
      });
      await failpoint('create.before-hint');
      await announceBatch(deps, record);
      return presentBatch(record, await buildActivityReader(deps)(record));
    },
  );

  app.get<{ Querystring: BatchListQuery }>(
    '/v1/batches',
    { schema: { querystring: batchListQuerySchema, response: { 200: batchListSchema, ...errorResponses } } },
    async ({ query: { after, limit } }) => {
      const page = await batches.listBatches(tenant, {
        limit,
        ...(after === undefined ? {} : { after: parseBatchId(after) }),
      });
      const readActivity = buildActivityReader(deps);
      const present = async (record: (typeof page.data)[number]) => presentBatch(record, await readActivity(record));
      return presentList(await Promise.all(page.data.map(present)), page.hasMore);
    },
  );

  app.get<{ Params: BatchParams }>(
    '/v1/batches/:batch_id',
    { schema: { params: batchParamsSchema, response } },
    async ({ params }) => {
      const id = parseBatchId(params.batch_id);
      const news = beginNews(deps, id);
      const record = await batches.getBatch(tenant, id);
      return presentBatch(record, await buildActivityReader(deps)(record, news));
    },
  );

  app.delete<{ Params: BatchParams }>(
    '/v1/batches/:batch_id',
    { schema: { params: batchParamsSchema, response: { 200: deletedBatchSchema, ...errorResponses } } },
    async ({ params }) => {
      const id: BatchId = parseBatchId(params.batch_id);
      await batches.deleteBatch(tenant, id);
      return { id, object: 'batch', deleted: true };
    },
  );

  app.post<{ Params: BatchParams }>(
    '/v1/batches/:batch_id/cancel',
    { schema: { params: batchParamsSchema, response } },
    async ({ params }) => {
      const id: BatchId = parseBatchId(params.batch_id);
      const record = await cancelAndTell(deps, { tenant, id });
      return presentBatch(record, await buildActivityReader(deps)(record));
    },
  );

  app.post<{ Params: BatchParams; Body: BudgetBody }>(
    '/v1/batches/:batch_id/budget',
    { schema: { params: batchParamsSchema, body: budgetBodySchema, response } },
    async ({ params, body }) => {
      const record = await batches.setTokenBudget(tenant, parseBatchId(params.batch_id), body.token_budget);
      await announceBatch(deps, record);
      return presentBatch(record, await buildActivityReader(deps)(record));
    },
  );
}
