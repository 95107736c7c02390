import { S3ServiceException } from '@aws-sdk/client-s3';
import { AppError, type ErrorDetails, isAppError } from '../base/errors.ts';

/** What a failed request was about; goes into the error's details. */
export interface StoreRequest {
  readonly operation: string;
  readonly bucket: string;
  readonly endpoint: string;
  readonly key?: string;
}

/** Answers that a later try may change, beside every 5xx. */
const passingCodes = [
  'SlowDown',
  'RequestTimeout',
  'RequestTimeTooSkewed',
  'OperationAborted',
  'ThrottlingException',
  'TooManyRequestsException',
];

/** The store is there and refuses us: somebody must change a setting. */
const refusals: Readonly<Record<string, string>> = {
  NoSuchBucket: 'has no such bucket',
  AccessDenied: 'denies access',
  Forbidden: 'denies access',
  InvalidAccessKeyId: 'does not know the access key',
  SignatureDoesNotMatch: 'does not accept the secret key',
  InvalidToken: 'does not accept the session token',
  ExpiredToken: 'says that the session token has expired',
  AuthorizationHeaderMalformed: 'expects another region',
  PermanentRedirect: 'keeps the bucket in another region',
  InvalidBucketName: 'does not accept the bucket name',
  CredentialsProviderError: 'needs credentials and none were found',
};

/** The one translation of whatever the SDK throws; causes are kept. */
export function toStoreError(error: unknown, request: StoreRequest): AppError {
  if (isAppError(error)) return error;
  const name = error instanceof Error ? error.name : 'unknown';
  const status = statusOf(error);
  const details: ErrorDetails = { ...request, status: status ?? null, reason: name };
  const place = `bucket ${request.bucket} at ${request.endpoint}`;
  const refusal = Object.hasOwn(refusals, name) ? refusals[name] : refusalOfStatus(status);
  if (refusal !== undefined) {
    return new AppError('input.config', `object store ${refusal}: ${place}`, { details, cause: error });
  }
  if (status === undefined && error instanceof Error && error.message.startsWith('Checksum mismatch')) {
    const message = `object does not have the checksum it was stored with: ${request.key ?? ''} in ${place}`;
    return new AppError('corrupt.checksum', message, { details, cause: error });
  }
  if (status === undefined) {
    const why = error instanceof Error ? codeOf(error) : String(error);
    return new AppError('transient.store-unreachable', `object store does not answer: ${place}: ${why}`, {
      details,
      cause: error,
    });
  }
  if (status >= 500 || status === 429 || passingCodes.includes(name)) {
    return new AppError('transient.store-error', `object store failed: ${place}: ${name} (${status})`, {
      details,
      cause: error,
    });
  }
  const message = `object store refused ${request.operation}: ${place}: ${name} (${status})`;
  return new AppError('bug.invariant', message, { details, cause: error });
}

/** What the SDK throws when a conditional write is refused. */
export function refusedCondition(status: 409 | 412): S3ServiceException {
  const name = status === 412 ? 'PreconditionFailed' : 'ConditionalRequestConflict';
  return new S3ServiceException({ name, message: name, $fault: 'client', $metadata: { httpStatusCode: status } });
}

/** HTTP status of an answer; undefined when none came. A stream cut short is no answer either. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof S3ServiceException)) return undefined;
  return error.$metadata.httpStatusCode;
}

export function isNamed(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && names.includes(error.name);
}

/** Answers to HEAD carry no body, hence no name. */
function refusalOfStatus(status: number | undefined): string | undefined {
  if (status === 403) return 'denies access';
  if (status === 301) return 'keeps the bucket in another region';
  return undefined;
}

function codeOf(error: Error): string {
  const code = (error as NodeJS.ErrnoException).code;
  return typeof code === 'string' ? code : error.message;
}
