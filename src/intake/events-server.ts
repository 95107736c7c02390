import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { AppError, toAppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import type { Logger } from '../base/log.ts';
import { parseS3Event } from './s3-event.ts';

export interface EventsServerOptions {
  /** On loopback; 0: any free port. */
  readonly port: number;
  /** Whoever sends events gives it as bearer token. */
  readonly token: string;
  readonly onKeys: (keys: readonly string[]) => void;
  readonly log: Logger;
}

export interface EventsServer {
  /** Where to POST events. */
  readonly url: string;
  close(): Promise<void>;
}

const host = '127.0.0.1';
const path = '/events';
/** An event of a bucket has about 1 kB; a thousand of them in one message are more than anybody sends. */
const maxBodyBytes = 1 << 20;
const requestTimeoutMs = 10_000;

/** Takes S3 events over HTTP: 204 when taken. @throws `input.port-taken` */
export async function openEventsServer({ port, token, onKeys, log }: EventsServerOptions): Promise<EventsServer> {
  const answer = (response: ServerResponse, status: number, message = ''): void => {
    response.writeHead(status, message === '' ? {} : { 'content-type': 'text/plain; charset=utf-8' }).end(message);
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!isAuthorized(request, token)) return answer(response, 401, 'bearer token missing or wrong');
    if (request.url !== path) return answer(response, 404, `events go to ${path}`);
    if (request.method !== 'POST') return answer(response, 405, 'events are posted');
    try {
      onKeys(parseS3Event(await readBody(request)));
      answer(response, 204);
    } catch (error) {
      const known = toAppError(error);
      log.warn({ err: known }, 'event refused');
      answer(response, known.code === 'input.too-large' ? 413 : 400, known.message);
    }
  };
  const server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
    handle(request, response).catch((err: unknown) => {
      log.error({ err }, 'event could not be answered');
      response.destroy();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new AppError('input.port-taken', `port ${port} of ${host} is taken by another program`, { cause })),
    );
    server.listen(port, host, resolve);
  });
  const address = server.address();
  const bound = typeof address === 'object' && address !== null ? address.port : port;
  return {
    url: `http://${host}:${bound}${path}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function isAuthorized({ headers }: IncomingMessage, token: string): boolean {
  const given = Buffer.from(sha256Hex(headers.authorization ?? ''));
  return timingSafeEqual(given, Buffer.from(sha256Hex(`Bearer ${token}`)));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) {
      throw new AppError('input.too-large', `an event has at most ${maxBodyBytes} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
