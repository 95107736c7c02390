import { errorCodes } from '../../base/error-codes.ts';
import type { AppError } from '../../base/errors.ts';
import type { ErrorBody } from '../schemas/error.schema.ts';

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ErrorBody;
}

/** 409 is retried by the stock client, and none of our conflicts goes away by repeating the request. */
const withoutConflict = (status: number): number => (status === 409 ? 400 : status);

const types: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
};

/** The OpenAI error `type` of a status. */
export const errorTypeOf = (status: number): string =>
  types[status] ?? (status >= 500 ? 'server_error' : 'invalid_request_error');

/** Our error → status, headers and body as OpenAI clients read them. */
export function presentError(error: AppError): ErrorAnswer {
  const { status: tableStatus, openaiCode } = errorCodes[error.code];
  const status = withoutConflict(tableStatus);
  const isOurs = error.family === 'bug' || error.family === 'corrupt';
  const hasDetails = !isOurs && Object.keys(error.details).length > 0;
  return {
    status,
    headers: {
      ...(error.retryAfterMs === null ? {} : retryAfter(error.retryAfterMs)),
      ...(isWorthRetrying(error) ? {} : { 'x-should-retry': 'false' }),
    },
    body: {
      error: {
        // what broke inside us may quote keys and paths; the log has it under the request id
        message: isOurs ? 'internal error: the request id names it in the log' : error.message,
        type: errorTypeOf(status),
        param: error.param,
        code: openaiCode,
        ext: { code: error.code, ...(hasDetails ? { details: { ...error.details } } : {}) },
      },
    },
  };
}

/** Both spellings the stock client knows; whole seconds are the standard one. */
const retryAfter = (ms: number): Record<string, string> => ({
  'retry-after-ms': String(ms),
  'retry-after': String(Math.ceil(ms / 1000)),
});

/**
 * The stock client repeats 408, 409, 429 and everything from 500 on, three tries in all. Damaged records stay damaged,
 * and a synchronous request that ran into its time limit would only run into it again.
 */
const isWorthRetrying = (error: AppError): boolean => error.family !== 'corrupt' && error.code !== 'transient.timeout';
