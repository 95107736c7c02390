import OpenAI from 'openai';
import { type ErrorCode, errorCodes } from '../base/error-codes.ts';
import { AppError } from '../base/errors.ts';

/** Nobody listens, or nobody answers in time. */
export function unreachableError(url: string, cause: unknown): AppError {
  const message = `no quire answers at ${url}; start one with "quire up", or name another with --api or QUIRE_API_URL`;
  return new AppError('transient.api-unreachable', message, { cause });
}

/** What the stock client threw → the error the server meant. */
export function toApiError(error: unknown, url: string): unknown {
  if (error instanceof OpenAI.APIConnectionError) return unreachableError(url, error);
  if (!(error instanceof OpenAI.APIError) || error.status === undefined) return error;
  const body = (error.error ?? {}) as { message?: unknown; ext?: { code?: unknown } };
  const known = body.ext?.code;
  const isOurs = typeof known === 'string' && Object.hasOwn(errorCodes, known);
  const code = isOurs ? (known as ErrorCode) : codeOfStatus(error.status);
  const said = typeof body.message === 'string' ? body.message : `${url} answered with status ${error.status}`;
  return new AppError(code, `${said}${hintOf(code)}`, {
    cause: error,
    ...(typeof error.param === 'string' ? { param: error.param } : {}),
  });
}

/** For answers of programs between us and the server. */
function codeOfStatus(status: number): ErrorCode {
  if (status === 401 || status === 403) return 'input.unauthorized';
  if (status === 404) return 'input.not-found';
  if (status === 413) return 'input.too-large';
  return status >= 500 || status === 429 ? 'transient.timeout' : 'input.invalid-request';
}

const hintOf = (code: ErrorCode): string =>
  code === 'input.unauthorized' ? '; quire sends the first key of QUIRE_API_KEY' : '';
