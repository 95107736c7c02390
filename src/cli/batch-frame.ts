import type { BatchObject } from '../api/schemas/batch.schema.ts';
import type { ProgressFrame, ProgressRow } from './progress.ts';

const terminal: readonly BatchObject['status'][] = ['completed', 'failed', 'expired', 'cancelled'];

export const isOver = ({ status }: Pick<BatchObject, 'status'>): boolean => terminal.includes(status);

/** Did everything that was asked get its answer? */
export const isAllAnswered = ({ status, request_counts: counts }: BatchObject): boolean =>
  status === 'completed' && counts.failed === 0;

/** The whole batch, and each line in work. */
export function frameOf(batch: BatchObject, nowMs: number): ProgressFrame {
  const { total, completed, failed } = batch.request_counts;
  const done = completed + failed;
  const seconds = elapsedSeconds(batch, nowMs);
  const left = isOver(batch) ? null : secondsLeft(done, total, batch.in_progress_at, nowMs);
  const detail = [
    ...(failed === 0 ? [] : [`${failed} failed`]),
    formatSeconds(seconds),
    ...(left === null ? [] : [`about ${formatSeconds(left)} left`]),
    ...(batch.ext.wait_reason === null ? [] : [batch.ext.wait_reason]),
  ];
  return {
    head: {
      label: batch.id,
      state: batch.status,
      bar: total === 0 ? null : { done, total, unit: 'lines' },
      detail: detail.join(', '),
    },
    rows: batch.ext.current.map(rowOf),
  };
}

/** One sentence about a batch that is over. */
export function describeEnd(batch: BatchObject, nowMs: number): string {
  const { total, completed, failed } = batch.request_counts;
  const { usage } = batch;
  const tokens =
    usage === undefined
      ? ''
      : ` · ${usage.input_tokens} tokens read, ${usage.input_tokens_details.cached_tokens} of them from the cache, ${usage.output_tokens} written`;
  const took = formatSeconds(elapsedSeconds(batch, nowMs));
  return `${batch.id} ${batch.status}: ${completed} of ${total} lines answered, ${failed} failed, ${took}${tokens}`;
}

const words: Readonly<Record<string, string>> = {
  load: 'loading',
  prefill: 'reading',
  think: 'thinking',
  answer: 'answering',
  wait: 'waiting',
};

/** A step of a line in work, as people say it. */
export const wordOf = (step: string): string => words[step] ?? step;

type Current = BatchObject['ext']['current'][number];

function rowOf({ custom_id, step, prompt_tokens, prefilled_tokens, completion_tokens }: Current): ProgressRow {
  const isReading = completion_tokens === 0 && prompt_tokens > 0;
  return {
    label: custom_id,
    state: wordOf(step),
    bar: isReading ? { done: prefilled_tokens, total: prompt_tokens, unit: 'tokens read' } : null,
    detail: isReading ? '' : `${completion_tokens} tokens written`,
  };
}

function elapsedSeconds(batch: BatchObject, nowMs: number): number {
  const end = batch.completed_at ?? batch.failed_at ?? batch.expired_at ?? batch.cancelled_at;
  return Math.max(0, (end ?? Math.floor(nowMs / 1_000)) - batch.created_at);
}

/** Fewer finished lines than this say nothing about the rest. */
const minFinished = 3;

function secondsLeft(done: number, total: number, startedAt: number | null, nowMs: number): number | null {
  if (startedAt === null || done < minFinished || done >= total) return null;
  return Math.ceil((Math.max(1, nowMs / 1_000 - startedAt) / done) * (total - done));
}

export function formatSeconds(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor((seconds % 3_600) / 60)];
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${seconds % 60} s`;
}
