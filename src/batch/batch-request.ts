import { canonicalJson } from '../base/canonical-json.ts';
import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import type { BatchId } from '../base/ids.ts';
import { isLineUrl } from './line-validation.ts';
import { type BatchRecord, type LineUrl, lineUrls } from './records.schema.ts';
import { show } from './request-fields.ts';
import { readTokenBudget } from './token-budget.ts';

/** What a caller asks for. */
export interface BatchRequest {
  readonly tenant: string;
  readonly inputFileId: string;
  readonly endpoint: string;
  /** `24h`, or a number and a unit: s, m, h, d. */
  readonly completionWindow: string;
  readonly metadata: Readonly<Record<string, string>> | null;
  readonly outputExpiresAfterSeconds: number | null;
  /** Tokens after which the batch pauses. @defaultValue null: never, unless the metadata says so */
  readonly tokenBudget?: number | null;
  readonly priority: BatchRecord['priority'];
  /** Value of the `Idempotency-Key` header. */
  readonly idempotencyKey?: string | null;
  /** Value of `x-stainless-retry-count`: above 0, the caller may be repeating a create that succeeded. */
  readonly retryCount?: number;
  /**
   * Id and time of creation given by the caller, whose creates may then repeat at any time: the first one to write the
   * record of this id makes the batch, all others get it.
   */
  readonly reservation?: { readonly batchId: BatchId; readonly atMs: number };
}

/** @throws `input.invalid-request` naming what is wrong */
export function checkBatchRequest(request: BatchRequest): {
  readonly endpoint: LineUrl;
  readonly windowSeconds: number;
  readonly tokenBudget: number | null;
} {
  const { endpoint, metadata } = request;
  if (!isLineUrl(endpoint)) {
    throw refused('endpoint', `endpoint is ${show(endpoint)}; it must be one of ${lineUrls.join(', ')}`);
  }
  checkMetadata(metadata);
  const windowSeconds = parseWindow(request.completionWindow, 'completion_window');
  // clients with types know "24h" only, so the window they mean may stand in the metadata
  const meant = request.completionWindow === '24h' ? metadata?.['window'] : undefined;
  return {
    endpoint,
    windowSeconds: meant === undefined ? windowSeconds : parseWindow(meant, 'metadata.window'),
    tokenBudget: readTokenBudget(request),
  };
}

const unitSeconds: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };
const maxWindowSeconds = 7 * 86_400;

export function parseWindow(text: string, param: string): number {
  const [, amount, unit = ''] = /^([1-9]\d{0,6})([smhd])$/.exec(text) ?? [];
  const seconds = Number(amount) * (unitSeconds[unit] ?? Number.NaN);
  if (seconds <= maxWindowSeconds) return seconds;
  throw refused(param, `${param} is ${show(text)}; it must be a time up to 7d such as 24h, 1h or 7d`);
}

const maxPairs = 16;
const maxKeyCharacters = 64;
const maxValueCharacters = 512;

function checkMetadata(metadata: BatchRequest['metadata']): void {
  const pairs = Object.entries(metadata ?? {});
  if (pairs.length > maxPairs) {
    throw refused('metadata', `metadata has ${pairs.length} pairs; at most ${maxPairs} are allowed`);
  }
  for (const [key, value] of pairs) {
    if (key.length > maxKeyCharacters) {
      throw refused(
        'metadata',
        `metadata key ${show(key)} has ${key.length} characters; at most ${maxKeyCharacters} are allowed`,
      );
    }
    if (value.length > maxValueCharacters) {
      throw refused(
        'metadata',
        `metadata ${show(key)} has ${value.length} characters; at most ${maxValueCharacters} are allowed`,
      );
    }
  }
}

/** Digest of all that makes two creates the same. */
export function fingerprintOf(request: BatchRequest): string {
  const { inputFileId, endpoint, completionWindow, metadata, outputExpiresAfterSeconds, tokenBudget = null } = request;
  const parts = [inputFileId, endpoint, completionWindow, metadata, outputExpiresAfterSeconds];
  return sha256Hex(canonicalJson(tokenBudget === null ? parts : [...parts, tokenBudget]));
}

const refused = (param: string, message: string): AppError => new AppError('input.invalid-request', message, { param });
