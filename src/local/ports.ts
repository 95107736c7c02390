import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { AppError } from '../base/errors.ts';

/**
 * Our ports lie below the ranges systems give to outgoing connections (from 32,768 on Linux, 49,152 on macOS): while a
 * server is down, a client that keeps trying to reach it could otherwise be given its very port, and connect to itself.
 */
const ownRange = { start: 20_000, end: 32_000 };
const maxTries = 200;

export interface FreePortOptions {
  /** Taken when it is free. */
  readonly preferred?: number | null;
  /** Never given: promised to others that do not listen yet. */
  readonly avoid?: readonly number[];
}

/** Can this address be listened on right now? Throws `input.config` for addresses that are not ours to listen on. */
export function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') return resolve(false);
      const message = `cannot listen on ${host}:${port}: ${error.code ?? error.message}`;
      reject(new AppError('input.config', message, { details: { host, port }, cause: error }));
    });
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port nobody listens on now; nothing holds it until its user does. Throws `input.port-taken` when all are taken. */
export async function findFreePort(host: string, options: FreePortOptions = {}): Promise<number> {
  const { preferred = null, avoid = [] } = options;
  if (preferred !== null && !avoid.includes(preferred) && (await isPortFree(host, preferred))) return preferred;
  for (let tries = 0; tries < maxTries; tries += 1) {
    const port = randomInt(ownRange.start, ownRange.end);
    if (!avoid.includes(port) && (await isPortFree(host, port))) return port;
  }
  const message = `no free port on ${host} between ${ownRange.start} and ${ownRange.end} in ${maxTries} tries`;
  throw new AppError('input.port-taken', message, { details: { host } });
}

/** Throws `input.port-taken` naming the port. */
export async function checkPortFree(host: string, port: number, what: string): Promise<void> {
  if (await isPortFree(host, port)) return;
  throw new AppError('input.port-taken', `port ${port} on ${host} is taken, ${what} needs it; choose another`, {
    details: { host, port },
  });
}
