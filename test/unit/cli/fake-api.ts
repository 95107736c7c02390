import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly body: string;
  readonly authorization: string | undefined;
}

export interface FakeAnswer {
  readonly status?: number;
  /** Text goes out as it is, anything else as JSON. */
  readonly body: unknown;
}

export interface FakeApi {
  readonly url: string;
  readonly seen: SeenRequest[];
  close(): Promise<void>;
}

/** A server that answers by `<method> <path without query>`; 404 in our form for all others. */
export async function openFakeApi(
  routes: Readonly<Record<string, (seen: SeenRequest) => FakeAnswer>>,
): Promise<FakeApi> {
  const seen: SeenRequest[] = [];
  const handle = async (incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> => {
    const request = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      body: (await buffer(incoming)).toString('utf8'),
      authorization: incoming.headers.authorization,
    };
    seen.push(request);
    const route = routes[`${request.method} ${request.path.split('?', 1)[0]}`];
    const missing = { error: { message: `no such route: ${request.path}`, ext: { code: 'input.not-found' } } };
    const { status = 200, body } = route?.(request) ?? { status: 404, body: missing };
    outgoing.writeHead(status, {
      'content-type': typeof body === 'string' ? 'application/octet-stream' : 'application/json',
      'x-should-retry': 'false',
    });
    outgoing.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  const server = createServer((incoming, outgoing) => void handle(incoming, outgoing));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Our error as the server writes it. */
export const errorBody = (code: string, message: string): { readonly error: object } => ({
  error: { message, type: 'invalid_request_error', param: null, code: 'x', ext: { code } },
});
