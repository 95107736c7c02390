import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** What happens to bytes on their way. */
export type TcpFault =
  | { readonly type: 'pass' }
  /** Every connection breaks, new ones at once. */
  | { readonly type: 'cut' }
  /** Connections stay, new ones are accepted, and nothing passes: what a half-open connection looks like. */
  | { readonly type: 'stall' }
  /** Everything arrives this much later, in order. */
  | { readonly type: 'slow'; readonly ms: number }
  /** A connection breaks after so many more bytes to the server: the last message may be half there. */
  | { readonly type: 'reset'; readonly afterBytes: number };

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  /** Bytes that may still go to the server under `reset`. */
  left: number;
}

/** A TCP proxy in front of a port of this machine whose faults can be changed while connections are open. */
export class TcpProxy {
  readonly port: number;
  /** Connections broken so far. */
  breaks = 0;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #targetPort: number;
  #fault: TcpFault = { type: 'pass' };
  /** Sends what a stall held back. */
  readonly #held: (() => void)[] = [];

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.#targetPort = targetPort;
    this.port = (server.address() as AddressInfo).port;
  }

  static async open(targetPort: number): Promise<TcpProxy> {
    const server = createServer({ noDelay: true });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy = new TcpProxy(server, targetPort);
    server.on('connection', (client) => proxy.#accept(client));
    return proxy;
  }

  set(fault: TcpFault): void {
    this.#fault = fault;
    if (fault.type === 'cut') for (const pair of this.#pairs) this.#break(pair);
    if (fault.type === 'reset') for (const pair of this.#pairs) pair.left = fault.afterBytes;
    if (fault.type !== 'stall') for (const send of this.#held.splice(0)) send();
  }

  /** Under a fault until `work` has ended. */
  async during<Result>(fault: TcpFault, work: () => Promise<Result>): Promise<Result> {
    this.set(fault);
    try {
      return await work();
    } finally {
      this.set({ type: 'pass' });
    }
  }

  /** Breaks every connection and leads the next ones elsewhere, as a failover does. */
  retarget(port: number): void {
    this.#targetPort = port;
    for (const pair of this.#pairs) this.#break(pair);
  }

  #accept(client: Socket): void {
    client.on('error', () => {});
    if (this.#fault.type === 'cut') {
      this.breaks += 1;
      client.resetAndDestroy();
      return;
    }
    const server = connect({ port: this.#targetPort, host: '127.0.0.1', noDelay: true });
    server.on('error', () => {});
    const pair: Pair = {
      client,
      server,
      left: this.#fault.type === 'reset' ? this.#fault.afterBytes : Number.POSITIVE_INFINITY,
    };
    this.#pairs.add(pair);
    client.on('data', (bytes) => this.#toServer(pair, bytes));
    server.on('data', (bytes) => this.#pass(() => client.write(bytes)));
    const end = (): void => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    client.on('close', end);
    server.on('close', end);
  }

  #toServer(pair: Pair, bytes: Buffer): void {
    if (this.#fault.type !== 'reset') {
      this.#pass(() => pair.server.write(bytes));
      return;
    }
    if (bytes.length > pair.left) {
      pair.server.write(bytes.subarray(0, pair.left), () => this.#break(pair));
      pair.left = 0;
      return;
    }
    pair.left -= bytes.length;
    pair.server.write(bytes);
  }

  #pass(send: () => void): void {
    switch (this.#fault.type) {
      case 'stall':
        this.#held.push(send);
        return;
      case 'slow':
        // timers of equal length fire in the order they were set
        setTimeout(send, this.#fault.ms);
        return;
      default:
        send();
    }
  }

  #break({ client, server }: Pair): void {
    this.breaks += 1;
    client.resetAndDestroy();
    server.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const { client, server } of this.#pairs) {
      client.destroy();
      server.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
