import type { FastifyInstance, FastifyReply } from 'fastify';
import { AppError } from '../../base/errors.ts';
import type { BatchRecord } from '../../batch/records.schema.ts';
import { cancelAndTell } from '../cancel.ts';
import { buildAnswerFinder, type LineAnswer } from '../line-answer.ts';
import { createOneLineBatch } from '../one-line-batch.ts';
import type { CompiledApiOptions } from '../options.ts';
import type { ServerDeps } from '../ports.ts';
import { chatCompletionSchema } from '../schemas/chat.schema.ts';
import { errorResponses } from '../schemas/error.schema.ts';
import { lookUntilFound } from '../wake-up.ts';

const endpoint = '/v1/chat/completions';

/**
 * A synchronous completion is a batch of one line: stored, queued before all others, and read from the store when it is
 * done. Whoever stops waiting for it (caller, time limit, shutdown) cancels it.
 */
export function registerChatRoutes(
  app: FastifyInstance,
  deps: ServerDeps,
  options: CompiledApiOptions,
  shutdown: AbortSignal,
): void {
  const schema = { response: { 200: chatCompletionSchema, ...errorResponses } };

  app.post(endpoint, { bodyLimit: options.maxLineBytes, schema }, async (request, reply) => {
    const left = signalWhenLeft(reply);
    const record = await createOneLineBatch(deps, options, endpoint, request);
    const { status, body } = await waitForAnswer(deps, options, record, AbortSignal.any([left, shutdown]));
    return reply.code(status).send(body);
  });
}

/** Aborts when the connection ends before the answer is out. */
function signalWhenLeft(reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) left.abort(new AppError('cancelled.by-user', 'the caller closed the connection'));
  });
  return left.signal;
}

async function waitForAnswer(
  deps: ServerDeps,
  { syncTimeoutMs, syncPollMs }: CompiledApiOptions,
  record: BatchRecord,
  stopped: AbortSignal,
): Promise<LineAnswer> {
  const { bus, clock, store, batches } = deps;
  const finished = new AbortController();
  const late = new AbortController();
  clock.sleep(syncTimeoutMs, finished.signal).then(
    () => late.abort(timeoutError(syncTimeoutMs)),
    () => {},
  );
  const signal = AbortSignal.any([stopped, late.signal]);
  const look = buildAnswerFinder(store, batches, { tenant: record.tenant, batchId: record.id });
  try {
    return await lookUntilFound({ bus, clock, pollMs: syncPollMs }, record.id, look, signal);
  } catch (error) {
    await cancelAndTell(deps, record).catch((err: unknown) =>
      deps.log.warn({ batchId: record.id, err }, 'abandoned request could not be cancelled'),
    );
    throw error;
  } finally {
    finished.abort();
  }
}

const timeoutError = (timeoutMs: number): AppError =>
  new AppError(
    'transient.timeout',
    `no answer within ${timeoutMs / 1000} s, the request was cancelled: send long work as a batch`,
    { details: { timeoutMs } },
  );
