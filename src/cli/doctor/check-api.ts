import { createServer } from 'node:net';
import type { ApiAccess } from '../client.ts';
import { type Check, fail, ok } from './check.ts';

const timeoutMs = 5_000;

interface Answer {
  readonly status: number;
  /** undefined: no JSON. */
  readonly body: unknown;
}

/**
 * Who answers where commands look for the server?
 * @param isNamed the address was given, so a server is expected there
 */
export async function checkApi({ url, key }: ApiAccess, isNamed: boolean): Promise<Check> {
  const ready = await ask(`${url}/readyz`, key);
  if (ready === null) return describeSilence(url, isNamed);
  const problem = problemOf(ready);
  if (problem === undefined) {
    const todo =
      'give another address with --api or QUIRE_API_URL; for "quire up" another port: --port or QUIRE_API_PORT';
    return fail('api', `${url} is taken by something that is no quire`, todo);
  }
  if (problem !== null) return fail('api', `${url}: ${problem}`, 'look at the logs of that quire, or restart it');
  const models = await ask(`${url}/v1/models`, key);
  if (models?.status === 401) {
    return fail('api', `${url} is quire and does not know our key`, 'put one of its keys first into QUIRE_API_KEY');
  }
  return ok('api', `quire answers at ${url} and reaches Redis and store`);
}

async function describeSilence(url: string, isNamed: boolean): Promise<Check> {
  const { hostname, port } = new URL(url);
  if (isNamed)
    return fail('api', `nobody answers at ${url}`, 'start "quire up" there, or correct --api or QUIRE_API_URL');
  if (await isPortFree(hostname, Number(port)))
    return ok('api', `port ${port} is free for "quire up"; no server runs there now`);
  return fail(
    'api',
    `port ${port} is taken by a program that does not answer`,
    'end it, or choose another port: --port or QUIRE_API_PORT',
  );
}

/** undefined: not ours; null: all is well. */
function problemOf({ status, body }: Answer): string | null | undefined {
  const { status: word, error } = (body ?? {}) as {
    status?: unknown;
    error?: { message?: string; ext?: { code?: string } };
  };
  if (status === 200 && word === 'ready') return null;
  return typeof error?.ext?.code === 'string' ? (error.message ?? error.ext.code) : undefined;
}

/** null: nobody answers in time. */
async function ask(url: string, key: string | null): Promise<Answer | null> {
  try {
    const headers = key === null ? {} : { authorization: `Bearer ${key}` };
    const answer = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) });
    const text = await answer.text();
    return { status: answer.status, body: parseJson(text) };
  } catch {
    return null;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
