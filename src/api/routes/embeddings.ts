import type { FastifyInstance } from 'fastify';
import { createOneLineBatch } from '../one-line-batch.ts';
import type { CompiledApiOptions } from '../options.ts';
import type { ServerDeps } from '../ports.ts';
import { embeddingListSchema } from '../schemas/embedding.schema.ts';
import { errorResponses } from '../schemas/error.schema.ts';
import { signalWhenLeft, waitForAnswer } from '../wait-for-answer.ts';

const endpoint = '/v1/embeddings';

/** As a chat completion: a batch of one line, whose caller waits. */
export function registerEmbeddingRoutes(
  app: FastifyInstance,
  deps: ServerDeps,
  options: CompiledApiOptions,
  shutdown: AbortSignal,
): void {
  const schema = { response: { 200: embeddingListSchema, ...errorResponses } };

  app.post(endpoint, { bodyLimit: options.maxLineBytes, schema }, async (request, reply) => {
    const signal = AbortSignal.any([signalWhenLeft(reply), shutdown]);
    const record = await createOneLineBatch(deps, options, endpoint, request);
    const { status, body } = await waitForAnswer(deps, options, record, signal);
    return reply.code(status).send(body);
  });
}
