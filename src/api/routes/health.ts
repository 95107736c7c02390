import type { FastifyInstance } from 'fastify';
import type { ErrorCode } from '../../base/error-codes.ts';
import { AppError } from '../../base/errors.ts';
import type { ServerDeps } from '../ports.ts';
import { errorResponses } from '../schemas/error.schema.ts';
import { healthSchema, readySchema } from '../schemas/health.schema.ts';

/** A probe that hangs tells a balancer nothing; both checks take a few milliseconds when all is well. */
const checkTimeoutMs = 2_000;

/** Open to everybody: a balancer has no key, and the answers name nothing but our own two dependencies. */
export function registerHealthRoutes(app: FastifyInstance, { store, queue }: ServerDeps): void {
  app.get('/healthz', { schema: { response: { 200: healthSchema } } }, async () => ({ status: 'ok' }));

  app.get('/readyz', { schema: { response: { 200: readySchema, ...errorResponses } } }, async () => {
    const failures = await Promise.all([
      findFailure('object store', 'transient.store-unreachable', () => store.check()),
      findFailure('redis', 'transient.queue-unreachable', () => queue.ping()),
    ]);
    const missing = failures.filter((failure) => failure !== null);
    const [first] = missing;
    if (first === undefined) return { status: 'ready' };
    const names = missing.map(({ name }) => name).join(', ');
    throw new AppError(first.code, `not ready: no answer from ${names}`, { details: { missing: names } });
  });
}

/** Behind the key: figures about load are nobody else's. */
export function registerMetricsRoute(app: FastifyInstance, { registry }: ServerDeps): void {
  app.get('/metrics', async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()));
}

interface Failure {
  readonly name: string;
  readonly code: ErrorCode;
}

async function findFailure(name: string, code: ErrorCode, check: () => Promise<void>): Promise<Failure | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(
      () => reject(new AppError(code, `${name} did not answer in ${checkTimeoutMs} ms`)),
      checkTimeoutMs,
    );
  });
  try {
    await Promise.race([check(), late]);
    return null;
  } catch {
    return { name, code };
  } finally {
    clearTimeout(timer);
  }
}
