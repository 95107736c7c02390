import { type ErrorCode, type ErrorFamily, errorCodes } from './error-codes.ts';

const marker = Symbol.for('quire.app-error');

/** Plain JSON facts about an error: the value met, the value allowed, a line number. Never document text or secrets. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | null>>;

export interface AppErrorOptions {
  readonly details?: ErrorDetails;
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
  /** Name of the request field at fault, as OpenAI's `param`. */
  readonly param?: string;
}

/** What travels between processes in place of an error object; absent is `null`. */
export interface SerializedError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: ErrorDetails | null;
  readonly param: string | null;
}

/**
 * The one error class. Recognised by a registered symbol, so a check survives process borders and duplicate copies.
 * Messages: lower case, no full stop; what was wrong, the value met, the value allowed.
 */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly family: ErrorFamily;
  readonly details: ErrorDetails;
  readonly param: string | null;
  readonly retryAfterMs: number | null;
  readonly [marker] = true;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.family = errorCodes[code].family;
    this.details = options.details ?? {};
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

export function isAppError(value: unknown): value is AppError {
  return typeof value === 'object' && value !== null && marker in value;
}

/** Is this an error of the family, whoever threw it? */
export function isFamily(value: unknown, family: ErrorFamily): boolean {
  return isAppError(value) && value.family === family;
}

/** Anything thrown → an AppError; what is not ours becomes `bug.invariant` with its cause kept. */
export function toAppError(value: unknown, fallback: ErrorCode = 'bug.invariant'): AppError {
  if (isAppError(value)) return value;
  const message = value instanceof Error ? value.message : String(value);
  return new AppError(fallback, message, { cause: value });
}

export function serializeError(value: unknown): SerializedError {
  const error = toAppError(value);
  return { code: error.code, message: error.message, details: error.details, param: error.param };
}

export function deserializeError(value: SerializedError): AppError {
  return new AppError(value.code, value.message, {
    ...(value.details === null ? {} : { details: value.details }),
    ...(value.param === null ? {} : { param: value.param }),
  });
}
