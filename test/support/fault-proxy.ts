import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** What becomes of one request. */
export type Fault =
  | { readonly type: 'pass' }
  /** The server does its work, the client's connection breaks before it hears of it. */
  | { readonly type: 'lose-answer' }
  /** The connection breaks before the server hears anything. */
  | { readonly type: 'lose-request' }
  /** The client gets this answer; `isForwarded`: after the server has done its work. */
  | { readonly type: 'answer'; readonly status: number; readonly code: string; readonly isForwarded: boolean }
  /** The answer breaks off in the middle of its body. */
  | { readonly type: 'cut-body' };

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  /** Counts from 1 over all requests. */
  readonly count: number;
}

export interface FaultProxy {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  close(): Promise<void>;
}

export const pass: Fault = { type: 'pass' };

/** An HTTP proxy in front of `endpoint` that asks `plan` what to do with each request. Host headers pass unchanged, so signatures hold. */
export async function openFaultProxy(
  endpoint: string,
  plan: (seen: SeenRequest) => Fault | Promise<Fault>,
): Promise<FaultProxy> {
  const target = new URL(endpoint);
  const seen: SeenRequest[] = [];
  const server = createServer((incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming;
    const entry = { method, url, headers, count: seen.length + 1 };
    seen.push(entry);
    apply(() => plan(entry), target, incoming, outgoing).catch(() => outgoing.destroy());
  });
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: () => {
      server.closeAllConnections();
      return new Promise((done) => {
        server.close(() => done());
      });
    },
  };
}

async function apply(
  plan: () => Fault | Promise<Fault>,
  target: URL,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const body = await buffer(incoming);
  const fault = await plan();
  const reset = (): void => {
    outgoing.socket?.resetAndDestroy();
  };
  if (fault.type === 'lose-request') return reset();
  if (fault.type === 'answer' && !fault.isForwarded) return answer(outgoing, fault);
  const { status, headers, body: answerBody } = await forward(target, incoming, body);
  if (fault.type === 'lose-answer') return reset();
  if (fault.type === 'answer') return answer(outgoing, fault);
  outgoing.writeHead(status, headers);
  if (fault.type === 'pass') outgoing.end(answerBody);
  else outgoing.write(answerBody.subarray(0, answerBody.byteLength / 2), reset);
}

function answer(outgoing: ServerResponse, fault: { readonly status: number; readonly code: string }): void {
  const body = `<?xml version="1.0"?><Error><Code>${fault.code}</Code><Message>as planned</Message></Error>`;
  outgoing.writeHead(fault.status, { 'content-type': 'application/xml', 'content-length': body.length });
  outgoing.end(body);
}

function forward(
  target: URL,
  incoming: IncomingMessage,
  body: Buffer,
): Promise<{ readonly status: number; readonly headers: IncomingMessage['headers']; readonly body: Buffer }> {
  return new Promise((done, reject) => {
    const { method, url, headers } = incoming;
    const outer = request(
      { host: target.hostname, port: target.port, method, path: url, headers, agent: false },
      (inner) => {
        buffer(inner).then(
          (answerBody) => done({ status: inner.statusCode ?? 0, headers: inner.headers, body: answerBody }),
          reject,
        );
      },
    );
    outer.on('error', reject);
    outer.end(body);
  });
}
