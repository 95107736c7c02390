import type { FastifyInstance } from 'fastify';
import { defaultTenant } from '../../base/ids.ts';
import { buildActivityReader } from '../activity.ts';
import { buildAnswerFinder } from '../line-answer.ts';
import { createOneLineBatch } from '../one-line-batch.ts';
import type { CompiledApiOptions } from '../options.ts';
import type { ServerDeps } from '../ports.ts';
import { batchIdOfAnalysis, noSuchAnalysis, presentAnalysis } from '../present/analysis.ts';
import { noActivity } from '../present/batch.ts';
import { type AnalysisParams, analysisObjectSchema, analysisParamsSchema } from '../schemas/analysis.schema.ts';
import { errorResponses } from '../schemas/error.schema.ts';

const endpoint = '/v1/analyses';

export function registerAnalysisRoutes(app: FastifyInstance, deps: ServerDeps, options: CompiledApiOptions): void {
  const response = { 200: analysisObjectSchema, ...errorResponses };

  app.post(endpoint, { bodyLimit: options.maxLineBytes, schema: { response } }, async (request) => {
    const record = await createOneLineBatch(deps, options, endpoint, request);
    return presentAnalysis(record, undefined, noActivity);
  });

  app.get<{ Params: AnalysisParams }>(
    '/v1/analyses/:analysis_id',
    { schema: { params: analysisParamsSchema, response } },
    async ({ params }) => {
      const id = params.analysis_id;
      const record = await deps.batches.findBatch(defaultTenant, batchIdOfAnalysis(id));
      if (record === undefined || record.endpoint !== endpoint || record.priority !== 'interactive')
        throw noSuchAnalysis(id);
      const answer = await buildAnswerFinder(deps.store, deps.batches, { tenant: record.tenant, batchId: record.id })();
      if (answer !== undefined) return presentAnalysis(record, answer, noActivity);
      const activity = await buildActivityReader(deps)(record);
      return presentAnalysis(record, undefined, activity);
    },
  );
}
