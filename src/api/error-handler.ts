import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import type { ErrorCode } from '../base/error-codes.ts';
import { AppError, isAppError } from '../base/errors.ts';
import type { Logger } from '../base/log.ts';
import { presentError } from './present/error.ts';

/** Errors of the HTTP framework and its parsers that are the caller's, by their code. All others are ours. */
const frameworkCodes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'input.too-large',
  FST_ERR_CTP_INVALID_JSON_BODY: 'input.invalid-json',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'input.media-type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'input.invalid-request',
  FST_ERR_BAD_URL: 'input.invalid-request',
  FST_ERR_MAX_PARAM_LENGTH: 'input.not-found',
  FST_INVALID_MULTIPART_CONTENT_TYPE: 'input.media-type',
  FST_PARTS_LIMIT: 'input.invalid-request',
  FST_FILES_LIMIT: 'input.invalid-request',
  FST_FIELDS_LIMIT: 'input.invalid-request',
  FST_PROTO_VIOLATION: 'input.invalid-request',
  FST_INVALID_JSON_FIELD_ERROR: 'input.invalid-request',
  FST_MP_PREMATURE_CLOSE: 'input.invalid-request',
};

/** Whatever a handler, a parser or the framework threw → our error. */
export function toHttpError(error: unknown, request?: FastifyRequest): AppError {
  if (isAppError(error)) return error;
  const { code, statusCode, message } = error as Partial<FastifyError>;
  const known = typeof code === 'string' ? frameworkCodes[code] : undefined;
  if (known !== undefined) {
    return new AppError(known, `${lowerFirst(message ?? known)}${boundsOf(known, request)}`, { cause: error });
  }
  if (statusCode === 400) return new AppError('input.invalid-request', lowerFirst(message ?? ''), { cause: error });
  return new AppError('bug.invariant', message ?? String(error), { cause: error });
}

/** What the framework leaves out: the value met and the values allowed. */
function boundsOf(code: ErrorCode, request: FastifyRequest | undefined): string {
  if (code === 'input.media-type') {
    const met = JSON.stringify(request?.headers['content-type'] ?? '');
    return `: content-type is ${met}; allowed: application/json, multipart/form-data for files`;
  }
  const limit = request?.routeOptions.bodyLimit;
  return code === 'input.too-large' && limit !== undefined ? `: more than the ${limit} bytes allowed here` : '';
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

export type ErrorHandler = (error: unknown, request: FastifyRequest, reply: FastifyReply) => void;

/** Answers every error in OpenAI's form; what is not the caller's fault goes to the log. */
export function buildErrorHandler(log: Logger): ErrorHandler {
  return (thrown, request, reply) => {
    const error = toHttpError(thrown, request);
    const { status, headers, body } = presentError(error);
    const fields = { requestId: request.id, code: error.code, method: request.method, path: request.routeOptions?.url };
    if (status >= 500) log.error({ ...fields, err: error }, 'request failed');
    else log.info({ ...fields, message: error.message }, 'request refused');
    reply.code(status).headers(headers).type('application/json; charset=utf-8').send(body);
  };
}

/** No route has this path, or not with this method. */
export function refuseUnknownRoute(request: FastifyRequest): never {
  const path = request.url.split('?', 1)[0] ?? '';
  throw new AppError('input.not-found', `no such route: ${request.method} ${path.slice(0, 200)}`);
}
