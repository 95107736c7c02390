import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { resolve } from 'node:path';
import { AppError } from '../../base/errors.ts';
import type { Logger } from '../../base/log.ts';
import { abortMultipartDays } from '../../storage/lifecycle.contract.ts';
import { DiskStore } from './disk-store.ts';
import { DiskUploads } from './disk-uploads.ts';
import type { ObjectCreatedEvent } from './events.ts';
import type { S3Context } from './exchange.ts';
import { handleRequest } from './request-handler.ts';
import type { S3Credentials } from './signature.ts';

export interface EmbeddedS3Options {
  /** Owned by this server alone while it is open. */
  readonly dataDir: string;
  /** 0: a free one. */
  readonly port: number;
  /** Loopback only: the server speaks plain HTTP. @defaultValue 127.0.0.1 */
  readonly host?: string;
  readonly credentials: S3Credentials;
  /** Created when they are not there. */
  readonly buckets: readonly string[];
  readonly log: Logger;
  /** Called after an object became durable; what it throws is logged and changes no answer. */
  readonly onObjectCreated?: (event: ObjectCreatedEvent) => void | Promise<void>;
  /** @defaultValue 5 GiB, S3's limit of one put */
  readonly maxObjectBytes?: number;
  /** For tests. @defaultValue Date.now */
  readonly nowMs?: () => number;
}

export interface EmbeddedS3 {
  /** For example `http://127.0.0.1:9123`. */
  readonly endpoint: string;
  readonly port: number;
  /** Lets running requests finish, for 5 seconds at most. */
  close(): Promise<void>;
}

const loopbackHosts: readonly string[] = ['127.0.0.1', 'localhost', '::1', '[::1]'];
const dayMs = 86_400_000;
const closeGraceMs = 5_000;
const idleSweepMs = 20;
/** Longer than the idle time of the SDKs' connections, so that they and not we close them. */
const keepAliveMs = 65_000;
const idleSocketMs = 120_000;

/** @throws `input.config` for an address that is not loopback or cannot be used, `input.port-taken` */
export async function openEmbeddedS3(options: EmbeddedS3Options): Promise<EmbeddedS3> {
  const host = options.host ?? '127.0.0.1';
  if (!loopbackHosts.includes(host)) {
    throw new AppError(
      'input.config',
      `the embedded S3 server listens on ${loopbackHosts.join(', ')} only, not on ${host}`,
    );
  }
  const store = await DiskStore.open(resolve(options.dataDir));
  for (const bucket of options.buckets) await store.createBucket(bucket);
  const nowMs = options.nowMs ?? Date.now;
  const uploads = new DiskUploads(store);
  await uploads.removeBefore(nowMs() - abortMultipartDays * dayMs);
  const context: S3Context = {
    store,
    uploads,
    nowMs,
    announce: (event, { requestId }) => announce(options, { ...event, atMs: nowMs(), requestId }),
  };
  const handler = {
    context,
    credentials: options.credentials,
    maxObjectBytes: options.maxObjectBytes ?? 5 * 1024 ** 3,
    log: options.log,
  };
  const running = new Set<Promise<void>>();
  const onRequest = (isWaiting: boolean) => (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const done = handleRequest(handler, incoming, outgoing, isWaiting).finally(() => running.delete(done));
    running.add(done);
  };
  const server = createServer({ keepAlive: true, requestTimeout: 0, headersTimeout: 30_000 }, onRequest(false));
  server.on('checkContinue', onRequest(true));
  server.keepAliveTimeout = keepAliveMs;
  server.timeout = idleSocketMs;
  const port = await listen(server, host.replace(/^\[|\]$/g, ''), options.port);
  return {
    endpoint: `http://${host === '::1' ? '[::1]' : host}:${port}`,
    port,
    close: () => close(server, running),
  };
}

function announce({ onObjectCreated, log }: EmbeddedS3Options, event: ObjectCreatedEvent): void {
  if (onObjectCreated === undefined) return;
  const { bucket, key, requestId } = event;
  Promise.resolve()
    .then(() => onObjectCreated(event))
    .catch((error: unknown) => log.error({ err: error, bucket, key, requestId }, 'object event not handled'));
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((found, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === 'EADDRINUSE';
      const message = isTaken
        ? `port ${port} on ${host} is taken, the embedded S3 server needs it; choose another`
        : `the embedded S3 server cannot listen on ${host}:${port}: ${error.code ?? error.message}`;
      reject(
        new AppError(isTaken ? 'input.port-taken' : 'input.config', message, { details: { host, port }, cause: error }),
      );
    });
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address();
      found(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}

async function close(server: Server, running: ReadonlySet<Promise<void>>): Promise<void> {
  const closed = new Promise<void>((done) => {
    server.close(() => done());
  });
  // a connection is idle a moment after its last answer has left, and its client keeps it open
  const idle = setInterval(() => server.closeIdleConnections(), idleSweepMs);
  const timer = setTimeout(() => server.closeAllConnections(), closeGraceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
  await Promise.all(running);
}
