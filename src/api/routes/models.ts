import type { FastifyInstance } from 'fastify';
import { unixSeconds } from '../../base/clock.ts';
import { AppError } from '../../base/errors.ts';
import type { ServerDeps } from '../ports.ts';
import { presentModel } from '../present/model.ts';
import { errorResponses } from '../schemas/error.schema.ts';
import { type ModelParams, modelListSchema, modelObjectSchema, modelParamsSchema } from '../schemas/model.schema.ts';

export function registerModelRoutes(app: FastifyInstance, { models, clock }: ServerDeps): void {
  const createdSeconds = unixSeconds(clock.nowMs());

  app.get('/v1/models', { schema: { response: { 200: modelListSchema, ...errorResponses } } }, async () => ({
    object: 'list',
    data: models.map((card) => presentModel(card, createdSeconds)),
  }));

  app.get<{ Params: ModelParams }>(
    '/v1/models/:model',
    { schema: { params: modelParamsSchema, response: { 200: modelObjectSchema, ...errorResponses } } },
    async ({ params }) => {
      const card = models.find(({ id }) => id === params.model);
      if (card !== undefined) return presentModel(card, createdSeconds);
      const served = models.map(({ id }) => id).join(', ');
      const met = JSON.stringify(params.model.slice(0, 80));
      throw new AppError('input.model-not-found', `the model ${met} does not exist; served here: ${served}`, {
        param: 'model',
      });
    },
  );
}
