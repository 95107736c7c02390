import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { AppError } from '../base/errors.ts';
import { connectTimeoutMs, idleTimeoutMs, maxSockets } from './s3-limits.ts';

export interface S3Options {
  /** null: AWS itself. */
  readonly endpoint: string | null;
  readonly region: string;
  readonly bucket: string;
  /** null: the SDK's default credential chain. */
  readonly accessKeyId: string | null;
  readonly secretAccessKey: string | null;
  /** @defaultValue true with an endpoint, since private stores seldom have a host name for each bucket */
  readonly forcePathStyle?: boolean;
  /** Tries of one request, the first included. @defaultValue 4: three pauses of 0.1 to 0.8 s outlast a store's restart */
  readonly maxAttempts?: number;
  /**
   * Send simple requests without the SDK, which does only what did not go well (`s3-direct.ts`).
   * @defaultValue true with an endpoint that is the root of a server with path-style addresses
   */
  readonly direct?: boolean;
}

/** Up to the response's headers: one part of 8 MiB at 0.6 Mbit/s. */
const responseTimeoutMs = 120_000;

const quiet = (): void => {};

/** @throws `input.config` when the endpoint is no http(s) URL */
export function buildS3Client(options: S3Options): S3Client {
  const { endpoint, accessKeyId, secretAccessKey } = options;
  silenceNodeVersionWarning();
  const config: S3ClientConfig = {
    region: options.region,
    maxAttempts: options.maxAttempts ?? 4,
    forcePathStyle: options.forcePathStyle ?? endpoint !== null,
    // a body is at most one part: waiting for "continue" would cost a connection for each
    expectContinueHeader: false,
    // handlers are put together once a command, not once a request: nobody changes them here
    cacheMiddleware: true,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      socketTimeout: idleTimeoutMs,
      requestTimeout: responseTimeoutMs,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets },
      httpsAgent: { keepAlive: true, maxSockets },
      logger: { debug: quiet, info: quiet, warn: quiet, error: quiet },
    },
    ...(endpoint === null ? {} : { endpoint: checkEndpoint(endpoint) }),
    ...(accessKeyId === null || secretAccessKey === null ? {} : { credentials: { accessKeyId, secretAccessKey } }),
  };
  return new S3Client(config);
}

/** Where requests go, for messages: never carries credentials. */
export function describeEndpoint(endpoint: string | null): string {
  return endpoint === null ? 'aws' : new URL(endpoint).origin;
}

function checkEndpoint(endpoint: string): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  // the value may carry a password, so it is not repeated
  if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
    throw new AppError('input.config', 'the S3 endpoint must be an http:// or https:// URL without user and password');
  }
  return endpoint;
}

/** The SDK warns on stderr of every process that it will want a newer Node some day; its version is pinned here. */
function silenceNodeVersionWarning(): void {
  // biome-ignore lint/style/noProcessEnv: the SDK has no other switch for it; nothing is read
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
}
