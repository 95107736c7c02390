import { Agent as HttpAgent, type IncomingMessage, request as requestHttp } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { connectTimeoutMs, idleTimeoutMs, maxSockets } from './s3-limits.ts';

export interface S3Reply {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface S3Exchange {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
  readonly signal?: AbortSignal | undefined;
}

/** Sends requests to one server over connections that stay open, each once: trying again is somebody else's. */
export class S3Line {
  readonly #url: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(url: URL) {
    this.#url = url;
    const options = { keepAlive: true, maxSockets, timeout: idleTimeoutMs };
    this.#agent = url.protocol === 'https:' ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** The whole answer, whatever its status. Rejects when there is none, or it broke off. */
  send({ method, path, headers, body, signal }: S3Exchange): Promise<S3Reply> {
    const { protocol, hostname, port } = this.#url;
    const open = protocol === 'https:' ? requestHttps : requestHttp;
    return new Promise((resolve, reject) => {
      const request = open({
        agent: this.#agent,
        host: hostname.replace(/^\[|\]$/g, ''),
        ...(port === '' ? {} : { port }),
        method,
        path,
        headers,
        ...(signal === undefined ? {} : { signal }),
      });
      const giveUp = setTimeout(() => request.destroy(new Error('no connection in time')), connectTimeoutMs);
      const connected = (): void => clearTimeout(giveUp);
      request.once('socket', (socket) => {
        if (socket.connecting) socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', connected);
        else connected();
      });
      request.once('timeout', () => request.destroy(new Error('silence on the wire')));
      request.once('response', (response) => readReply(response).then(resolve, reject));
      request.once('error', reject);
      request.once('close', connected);
      request.end(body ?? undefined);
    });
  }
}

function readReply(response: IncomingMessage): Promise<S3Reply> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.once('end', () => {
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
    });
    response.once('error', reject);
    // behind its end it changes nothing
    response.once('close', () => reject(new Error('the answer broke off')));
  });
}
