import multipart from '@fastify/multipart';
import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import { AppError } from '../base/errors.ts';
import { buildAuthorize } from './auth.ts';
import { closeConnectionsWhenDone } from './close-connections.ts';
import { writeConnectionError } from './connection-error.ts';
import { buildErrorHandler, type ErrorHandler, refuseUnknownRoute } from './error-handler.ts';
import { observeServer } from './metrics.ts';
import { type ApiOptions, type CompiledApiOptions, compileApiOptions } from './options.ts';
import type { ServerDeps } from './ports.ts';
import { newRequestId } from './request-id.ts';
import { registerAnalysisRoutes } from './routes/analyses.ts';
import { registerBatchRoutes } from './routes/batches.ts';
import { registerChatRoutes } from './routes/chat.ts';
import { registerEmbeddingRoutes } from './routes/embeddings.ts';
import { registerFileRoutes } from './routes/files.ts';
import { registerHealthRoutes, registerMetricsRoute } from './routes/health.ts';
import { registerModelRoutes } from './routes/models.ts';
import { buildValidatorCompiler } from './validation.ts';

/** The largest batch create: 16 pairs of 64 + 512 characters of up to 6 escaped bytes each. */
const smallBodyBytes = 64 * 1024;

/**
 * The HTTP API as a Fastify app that does not listen. Closing it answers waiting callers with 503 and refuses new ones.
 * @throws `input.config` for options that are out of range
 */
export function buildServer(deps: ServerDeps, rawOptions: ApiOptions): FastifyInstance {
  const options = compileApiOptions(rawOptions);
  const handleError = buildErrorHandler(deps.log);
  const app = createApp(options, handleError);
  const shutdown = new AbortController();

  app.setValidatorCompiler(buildValidatorCompiler());
  app.setErrorHandler(handleError);
  app.setNotFoundHandler(refuseUnknownRoute);
  acceptEmptyJson(app);
  app.register(multipart, {
    // file bytes are counted where they are stored; the form has few and short text fields
    limits: { fileSize: Number.POSITIVE_INFINITY, files: 4, fields: 16, fieldSize: 4_096, parts: 20 },
    throwFileSizeLimit: false,
  });

  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (shutdown.signal.aborted) throw shutdown.signal.reason;
  });
  app.addHook('preClose', async () => {
    shutdown.abort(
      new AppError('cancelled.shutdown', 'the server is shutting down; try again', { retryAfterMs: 1_000 }),
    );
  });
  closeConnectionsWhenDone(app);
  observeServer(app, deps);

  registerHealthRoutes(app, deps);
  const authorize = buildAuthorize(options.apiKeys);
  app.register((guarded, _options, done) => {
    guarded.addHook('onRequest', async (request: FastifyRequest) => authorize(request.headers.authorization));
    registerMetricsRoute(guarded, deps);
    registerModelRoutes(guarded, deps);
    registerFileRoutes(guarded, deps, options);
    registerBatchRoutes(guarded, deps);
    registerAnalysisRoutes(guarded, deps, options);
    registerChatRoutes(guarded, deps, options, shutdown.signal);
    registerEmbeddingRoutes(guarded, deps, options, shutdown.signal);
    done();
  });
  return app;
}

function createApp(options: CompiledApiOptions, handleError: ErrorHandler): FastifyInstance {
  return fastify({
    // our own hooks log and answer while closing, in our form
    logger: false,
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    genReqId: newRequestId,
    requestIdHeader: false,
    bodyLimit: smallBodyBytes,
    // silence on a socket: a synchronous completion sends nothing until it is done
    connectionTimeout: options.syncTimeoutMs + 60_000,
    // a whole upload: 512 MiB at 5 Mbit/s
    requestTimeout: 900_000,
    // longer than the 60 s of common balancers, so that the balancer is the one that closes an idle connection
    keepAliveTimeout: 72_000,
    // headers come in one packet or few
    http: { headersTimeout: 20_000 },
    routerOptions: { maxParamLength: 256, ignoreTrailingSlash: false },
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    // these come before any hook
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id);
      handleError(error, request, reply);
    },
    clientErrorHandler: writeConnectionError,
  });
}

/** JSON as Fastify reads it, except that no bytes mean no body: clients send the header out of habit. */
function acceptEmptyJson(app: FastifyInstance): void {
  // plain text is no body of any route
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const text = decodeBody(request, body);
      if (text.trim() === '') done(null, undefined);
      else void parse(request, text, done);
    } catch (error) {
      done(error as AppError);
    }
  });
}

/** Bytes that are no text would be mended silently, and the caller's words changed. */
function decodeBody(request: FastifyRequest, body: Buffer): string {
  const encoding = request.headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') {
    throw new AppError('input.media-type', `content-encoding is ${JSON.stringify(encoding)}; allowed: identity`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch (cause) {
    throw new AppError('input.encoding', 'request body is not valid UTF-8', { cause });
  }
}
