import { AppError } from '../base/errors.ts';
import { isTerminal } from './batch-state.ts';
import type { BatchProgress } from './batch-watch.ts';
import type { BatchRecord } from './records.schema.ts';
import { show } from './request-fields.ts';

/**
 * The tokens that the answers of a batch may cost, prompt and completion together, as its usage counts them.
 *
 * G1. Finished lines count. Once they have used the budget and lines are left, the batch pauses: no line begins, and
 *     those in work stop where they are and say how far they are, as when a worker ends in order.
 * G2. A paused batch stays `in_progress`; `paused_at` says since when. Its time goes on: it may be cancelled or expire.
 * G3. Only a budget that is not used up, or none, lets it go on. Nothing is computed or counted twice by a pause.
 */

/** The budget a request names, by its own field or, for clients that know OpenAI's fields only, by the metadata. */
export function readTokenBudget({
  tokenBudget = null,
  metadata,
}: {
  readonly tokenBudget?: number | null;
  readonly metadata: Readonly<Record<string, string>> | null;
}): number | null {
  const text = metadata?.['token_budget'];
  if (text === undefined) return tokenBudget === null ? null : checkTokenBudget(tokenBudget, 'token_budget');
  const meant = checkTokenBudget(/^\d+$/.test(text) ? Number(text) : text, 'metadata.token_budget');
  if (tokenBudget === null || tokenBudget === meant) return meant;
  throw refused('token_budget', `token_budget is ${tokenBudget} and metadata.token_budget is ${meant}; give one`);
}

/** @throws `input.invalid-request` */
export function checkTokenBudget(value: unknown, param: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
  throw refused(param, `${param} is ${show(value)}; it must be a whole number of tokens from 1`);
}

/** The record with another budget; null: none. Pure. @throws `input.state` for a batch that is final */
export function changeTokenBudget(record: BatchRecord, tokens: number | null): BatchRecord {
  if (isTerminal(record.status)) {
    throw new AppError('input.state', `batch ${record.id} is ${record.status}; its token budget cannot be changed`);
  }
  const { token_budget: _before, ...rest } = record;
  const next = tokens === null ? rest : { ...rest, token_budget: tokens };
  return isSpent(next) ? next : goOn(next);
}

/**
 * The record as its budget wants it after what was counted: paused, or going on. The same object when that changes
 * nothing; while it is paused, counts that changed do. Pure.
 */
export function applyTokenBudget(record: BatchRecord, progress: BatchProgress, nowSeconds: number): BatchRecord {
  if (record.status !== 'in_progress') return record;
  const next = { ...record, ...progress };
  if (!isSpent(next)) return isPaused(record) ? goOn(next) : record;
  if (!isPaused(record)) return { ...next, paused_at: nowSeconds };
  return record.usage?.total_tokens === next.usage.total_tokens && finishedOf(record) === finishedOf(next)
    ? record
    : next;
}

export function isPaused(record: BatchRecord): boolean {
  return record.status === 'in_progress' && record.paused_at !== undefined;
}

/** Why nothing runs, for whoever asks; null: not because of the budget. */
export function describePause(record: BatchRecord): string | null {
  if (!isPaused(record)) return null;
  const used = record.usage?.total_tokens ?? 0;
  return `the token budget of ${record.token_budget} is used up (${used} tokens); the batch goes on with a larger one: POST /v1/batches/${record.id}/budget`;
}

function isSpent(record: BatchRecord): boolean {
  const { token_budget: budget } = record;
  if (budget === undefined || finishedOf(record) >= record.request_counts.total) return false;
  return (record.usage?.total_tokens ?? 0) >= budget;
}

function goOn(record: BatchRecord): BatchRecord {
  const { paused_at: _since, ...rest } = record;
  return rest;
}

const finishedOf = ({ request_counts: counts }: BatchRecord): number => counts.completed + counts.failed;

const refused = (param: string, message: string): AppError => new AppError('input.invalid-request', message, { param });
