import type { FastifyInstance } from 'fastify';
import { unixSeconds } from '../../base/clock.ts';
import { lineTokenOf } from '../../batch/index.ts';
import { announceOneLine, storeOneLine } from '../one-line-batch.ts';
import type { CompiledApiOptions } from '../options.ts';
import type { ServerDeps } from '../ports.ts';
import { chatCompletionSchema } from '../schemas/chat.schema.ts';
import { errorResponses } from '../schemas/error.schema.ts';
import { sendStream } from '../stream/send-stream.ts';
import { streamCompletion } from '../stream/stream-completion.ts';
import { signalWhenLeft, waitForAnswer } from '../wait-for-answer.ts';

const endpoint = '/v1/chat/completions';

/**
 * A synchronous completion is a batch of one line: stored, queued before all others, and read from the store when it is
 * done, or from the news of it while it is written. Whoever stops waiting for it (caller, time limit, shutdown) cancels
 * it.
 */
export function registerChatRoutes(
  app: FastifyInstance,
  deps: ServerDeps,
  options: CompiledApiOptions,
  shutdown: AbortSignal,
): void {
  const schema = { response: { 200: chatCompletionSchema, ...errorResponses } };

  app.post(endpoint, { bodyLimit: options.maxLineBytes, schema }, async (request, reply) => {
    const signal = AbortSignal.any([signalWhenLeft(reply), shutdown]);
    const { record, request: line } = await storeOneLine(deps, options, endpoint, request);
    if (line.type !== 'chat' || line.chat.stream === null) {
      await announceOneLine(deps, record);
      const { status, body } = await waitForAnswer(deps, options, record, signal);
      return reply.code(status).send(body);
    }
    const { choices, stream, model } = line.chat;
    const frame = {
      id: `chatcmpl-${lineTokenOf(record.id, 0)}`,
      created: unixSeconds(deps.clock.nowMs()),
      model,
      system_fingerprint: fingerprintOf(deps, model),
    };
    const items = streamCompletion(deps, options, {
      record,
      answer: { frame, choices, includeUsage: stream.includeUsage },
      announce: () => deps.queue.addControl({ version: 1, tenant: record.tenant, batchId: record.id }),
      signal,
    });
    return sendStream(items, request, reply, deps.log);
  });
}

const fingerprintOf = ({ models }: ServerDeps, model: string): string =>
  models.find(({ id }) => id === model)?.digest.slice(0, 16) ?? '';
