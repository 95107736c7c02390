import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy that loses the answer to chosen requests: the server's first bytes are dropped and the client's
 * connection is reset, so the server has done its work and the client cannot know.
 */
export class CuttingProxy {
  readonly url: string;
  /** Answers lost so far. */
  cuts = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** @param cutTotal how many answers to requests that start with `requestLine` are lost */
  static async open(targetPort: number, requestLine: string, cutTotal: number): Promise<CuttingProxy> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new CuttingProxy(server);
    server.on('connection', (client) => proxy.#forward(client, targetPort, requestLine, cutTotal));
    return proxy;
  }

  #forward(client: Socket, targetPort: number, requestLine: string, cutTotal: number): void {
    const target = connect(targetPort, '127.0.0.1');
    let isChosen = false;
    for (const socket of [client, target]) {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {});
    }
    client.on('data', (bytes) => {
      if (bytes.toString('latin1').startsWith(requestLine)) isChosen = this.cuts < cutTotal;
      target.write(bytes);
    });
    target.on('data', (bytes) => {
      if (!isChosen) return client.write(bytes);
      this.cuts += 1;
      target.destroy();
      return client.resetAndDestroy();
    });
    client.on('close', () => target.destroy());
    target.on('close', () => client.destroy());
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
