import { AppError } from '../../base/errors.ts';
import type { BatchRecord } from '../../batch/records.schema.ts';
import type { QuireEvent } from '../../queue/index.ts';
import { cancelAndTell } from '../cancel.ts';
import { buildAnswerFinder, type LineAnswer } from '../line-answer.ts';
import type { CompiledApiOptions } from '../options.ts';
import type { ServerDeps } from '../ports.ts';
import { lookUntilFound } from '../wake-up.ts';
import { Bell } from './bell.ts';
import { heartbeat } from './event-stream.ts';
import { StreamedAnswer, type StreamedAnswerOptions } from './streamed-answer.ts';

export type StreamItem =
  | { readonly type: 'text'; readonly text: string }
  /** The line came to an error: nothing follows. */
  | { readonly type: 'failure'; readonly answer: LineAnswer };

export interface CompletionStream {
  readonly record: Pick<BatchRecord, 'tenant' | 'id'>;
  readonly answer: StreamedAnswerOptions;
  /** Puts the line to work. Called when the stream listens, so that no news of it is missed. */
  readonly announce: () => Promise<void>;
  /** Aborts when nobody waits any more. */
  readonly signal: AbortSignal;
}

type Ending =
  | { readonly type: 'answer'; readonly answer: LineAnswer }
  | { readonly type: 'error'; readonly error: unknown };

/**
 * The answer of a stored line while it is written: news of it as they come, and from the store what the news left out.
 * Whoever stops reading before the end cancels the line.
 * @throws the signal's reason; `transient.timeout` when nothing is heard for the time limit; `transient.stream-diverged`
 */
export async function* streamCompletion(
  deps: ServerDeps,
  { syncTimeoutMs, syncPollMs, heartbeatMs }: CompiledApiOptions,
  { record, answer: answerOptions, announce, signal }: CompletionStream,
): AsyncGenerator<StreamItem, void, undefined> {
  const { bus, clock, store, batches } = deps;
  const answer = new StreamedAnswer(answerOptions);
  const bell = new Bell(clock, signal);
  const left = new AbortController();
  let heardMs = clock.nowMs();
  const state: { ending: Ending | undefined } = { ending: undefined };
  const end = (ending: Ending): void => {
    state.ending = ending;
    bell.ring();
  };
  const hear = (event: QuireEvent): void => {
    if (event.type !== 'line-delta' || event.batchId !== record.id) return;
    heardMs = clock.nowMs();
    if (answer.take(event.delta)) bell.ring();
  };
  const unsubscribe = bus.subscribe(hear);
  try {
    signal.throwIfAborted();
    await announce();
    const find = buildAnswerFinder(store, batches, { tenant: record.tenant, batchId: record.id });
    const looking = AbortSignal.any([signal, left.signal]);
    void lookUntilFound({ bus, clock, pollMs: syncPollMs }, record.id, find, looking).then(
      (found) => end({ type: 'answer', answer: found }),
      (error: unknown) => end({ type: 'error', error }),
    );
    while (state.ending === undefined) {
      const text = answer.takeUnsent();
      if (text !== '') {
        yield { type: 'text', text };
        continue;
      }
      const silentMs = clock.nowMs() - heardMs;
      if (silentMs >= syncTimeoutMs) throw timeoutError(syncTimeoutMs);
      const isRung = await bell.wait(Math.min(heartbeatMs, syncTimeoutMs - silentMs));
      // at the time limit the next round says so, and as the first thing said it is an ordinary error
      if (!isRung && clock.nowMs() - heardMs < syncTimeoutMs) yield { type: 'text', text: heartbeat };
    }
    yield* endWith(state.ending, answer);
  } finally {
    unsubscribe();
    left.abort(new AppError('cancelled.by-user', 'nobody reads the stream'));
    if (state.ending?.type !== 'answer') await abandon(deps, record);
  }
}

function* endWith(ending: Ending, answer: StreamedAnswer): Generator<StreamItem, void, undefined> {
  if (ending.type === 'error') throw ending.error;
  if (ending.answer.status >= 400) yield { type: 'failure', answer: ending.answer };
  else yield { type: 'text', text: answer.takeRest(ending.answer.body) };
}

async function abandon(deps: ServerDeps, record: CompletionStream['record']): Promise<void> {
  await cancelAndTell(deps, record).catch((err: unknown) =>
    deps.log.warn({ batchId: record.id, err }, 'abandoned stream could not be cancelled'),
  );
}

const timeoutError = (timeoutMs: number): AppError =>
  new AppError(
    'transient.timeout',
    `nothing was heard of the answer for ${timeoutMs / 1000} s, it was cancelled: send long work as a batch`,
    { details: { timeoutMs } },
  );
