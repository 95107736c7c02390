import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Logger } from '../../base/log.ts';
import type { S3Context, S3Request, S3Response } from './exchange.ts';
import { openRequestBody } from './request-body.ts';
import { findRoute } from './route-table.ts';
import { S3Error } from './s3-error.ts';
import { isSignatureParameter, type S3Credentials, verifySignature } from './signature.ts';
import { checkAmzHeaders } from './stored-headers.ts';
import { parseTarget } from './uri.ts';
import { writeXml } from './xml.ts';

export interface HandlerOptions {
  readonly context: S3Context;
  readonly credentials: S3Credentials;
  readonly maxObjectBytes: number;
  readonly log: Logger;
}

/** How much of a refused request's body is still read, so that its client gets to see the answer. */
const maxDrainBytes = 64 * 1024 * 1024;

/** Answers one request; never throws. `isWaiting`: the client sends its body only after a "continue". */
export async function handleRequest(
  options: HandlerOptions,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  isWaiting: boolean,
): Promise<void> {
  const requestId = randomBytes(8).toString('hex').toUpperCase();
  outgoing.setHeader('x-amz-request-id', requestId);
  outgoing.setHeader('server', 'quire');
  let response: S3Response;
  try {
    response = await answer(options, incoming, outgoing, { requestId, isWaiting });
  } catch (error) {
    if (incoming.destroyed && !incoming.complete) return;
    response = answerError(options.log, error, incoming, requestId);
  }
  try {
    await send(response, incoming, outgoing);
  } catch (error) {
    // the client has gone, or the file cannot be read: either way the length announced will not be met
    options.log.debug({ err: error, requestId }, 'answer not delivered');
    outgoing.destroy();
  }
}

async function answer(
  options: HandlerOptions,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { requestId, isWaiting }: { readonly requestId: string; readonly isWaiting: boolean },
): Promise<S3Response> {
  const method = incoming.method ?? '';
  const target = parseTarget(incoming.url ?? '');
  const headers = incoming.headersDistinct;
  const payload = verifySignature({ method, target, headers }, options.credentials, options.context.nowMs());
  const [, bucket = '', key = ''] = /^\/([^/]*)(?:\/(.*))?$/s.exec(target.path) ?? [];
  const query = target.query.filter(([name]) => !isSignatureParameter(name));
  const header = (name: string): string | undefined => headers[name]?.join(', ');
  const headerNames = Object.keys(headers);
  const route = findRoute(method, bucket, key, query);
  checkAmzHeaders({ headerNames, header });
  const body = openRequestBody({
    raw: readIncoming(incoming, isWaiting ? () => outgoing.writeContinue() : undefined),
    header: route.isChecksumOfObject === true ? withoutChecksums(header) : header,
    payload,
    maxBytes: options.maxObjectBytes,
  });
  const request: S3Request = { method, bucket, key, query, headerNames, header, body, requestId };
  return route.run(request, options.context);
}

/** Not `for await` over the message itself: leaving that early would cut the connection before the answer. */
async function* readIncoming(incoming: IncomingMessage, onRead: (() => void) | undefined): AsyncGenerator<Uint8Array> {
  onRead?.();
  yield* incoming.iterator({ destroyOnReturn: false });
}

function withoutChecksums(header: (name: string) => string | undefined): (name: string) => string | undefined {
  return (name) => (name.startsWith('x-amz-checksum-') ? undefined : header(name));
}

function answerError(log: Logger, error: unknown, incoming: IncomingMessage, requestId: string): S3Response {
  let told: S3Error;
  if (error instanceof S3Error) {
    told = error;
    log.debug({ requestId, method: incoming.method, code: error.code }, 'request refused');
  } else {
    const isFull = ['ENOSPC', 'EDQUOT', 'EMFILE', 'ENFILE'].includes(String((error as NodeJS.ErrnoException).code));
    told = isFull
      ? new S3Error('ServiceUnavailable', 'no space or no file handles are left')
      : new S3Error('InternalError', 'the request failed inside the server; its log says why');
    log.error({ err: error, requestId, method: incoming.method }, 'request failed');
  }
  const resource = parsePathLeniently(incoming.url ?? '');
  const elements = Object.entries(told.elements);
  const body = writeXml(
    [
      'Error',
      [['Code', told.code], ['Message', told.message], ...elements, ['Resource', resource], ['RequestId', requestId]],
    ],
    null,
  );
  return { status: told.status, headers: { 'content-type': 'application/xml' }, body };
}

function parsePathLeniently(url: string): string {
  return url.split('?')[0]?.slice(0, 2048) ?? '';
}

async function send(response: S3Response, incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
  const { body } = response;
  const stream = body instanceof Readable ? body : undefined;
  if (outgoing.destroyed) {
    stream?.destroy();
    return;
  }
  // an unread rest of the body stands between this answer and the next request
  if (!incoming.complete) {
    outgoing.setHeader('connection', 'close');
    drain(incoming);
  }
  outgoing.strictContentLength = true;
  outgoing.statusCode = response.status;
  for (const [name, value] of Object.entries(response.headers)) outgoing.setHeader(name, value);
  if (incoming.method === 'HEAD' || response.status === 204 || response.status === 304) {
    stream?.destroy();
    outgoing.end();
    return;
  }
  if (body instanceof Readable) {
    await pipeline(body, outgoing);
    return;
  }
  const bytes = typeof body === 'string' ? Buffer.from(body) : (body ?? Buffer.alloc(0));
  outgoing.setHeader('content-length', bytes.byteLength);
  outgoing.end(bytes);
}

function drain(incoming: IncomingMessage): void {
  let bytes = 0;
  incoming.on('data', (chunk: Buffer) => {
    bytes += chunk.byteLength;
    if (bytes > maxDrainBytes) incoming.destroy();
  });
  incoming.on('error', () => undefined);
  incoming.resume();
}
