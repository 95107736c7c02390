import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findRedisServer } from '../../src/local/index.ts';

/** A Redis of a test's own: free port, temporary folder, append-only file, password. */
export interface PrivateRedis {
  readonly url: string;
  readonly port: number;
  /** SIGKILL; the data stays. */
  kill(): Promise<void>;
  /** SIGSTOP and SIGCONT: a server that accepts and says nothing. */
  freeze(): void;
  thaw(): void;
  /** Same port, same data. */
  start(): Promise<void>;
  /** Ends the server and removes the data. */
  close(): Promise<void>;
}

const password = 'test-secret';

/** Needs a Redis or Valkey server, as the product finds it. */
export async function openPrivateRedis(): Promise<PrivateRedis> {
  const server = findRedisServer();
  if (server === undefined) throw new Error('no redis server found; `node src/local/setup.mjs` installs one');
  const folder = await mkdtemp(join(tmpdir(), 'quire-test-redis-'));
  const port = await findFreePort();
  let child: ChildProcess | null = null;

  const start = async (): Promise<void> => {
    child = spawn(
      server.command,
      [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
        ...['--requirepass', password],
      ],
      { stdio: 'ignore', ...(server.argv0 === null ? {} : { argv0: server.argv0 }) },
    );
    const failed = new Promise<never>((_resolve, reject) => {
      child?.once('error', reject);
      child?.once('exit', (code) => reject(new Error(`redis-server ended with code ${code}`)));
    });
    failed.catch(() => {});
    await Promise.race([untilListening(port), failed]);
  };
  const kill = async (): Promise<void> => {
    const dying = child;
    child = null;
    if (dying === null || dying.exitCode !== null) return;
    const gone = new Promise((resolve) => dying.once('exit', resolve));
    dying.kill('SIGKILL');
    await gone;
  };

  await start();
  return {
    url: `redis://:${password}@127.0.0.1:${port}`,
    port,
    kill,
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    start,
    close: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function untilListening(port: number): Promise<void> {
  const tries = 200;
  for (let left = tries; left > 0; left--) {
    if (await canConnect(port)) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`redis-server does not listen on port ${port}`);
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
