import type { FastifyReply } from 'fastify';
import { AppError } from '../base/errors.ts';
import type { BatchRecord } from '../batch/records.schema.ts';
import { cancelAndTell } from './cancel.ts';
import { buildAnswerFinder, type LineAnswer } from './line-answer.ts';
import type { CompiledApiOptions } from './options.ts';
import type { ServerDeps } from './ports.ts';
import { lookUntilFound } from './wake-up.ts';

/** Aborts when the connection ends before the answer is out. */
export function signalWhenLeft(reply: FastifyReply): AbortSignal {
  const left = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) left.abort(new AppError('cancelled.by-user', 'the caller closed the connection'));
  });
  return left.signal;
}

/**
 * The answer of the one line of a batch, when it is there. Whoever stops waiting cancels it.
 * @throws the reason of `stopped`; `transient.timeout` after the time limit
 */
export async function waitForAnswer(
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
