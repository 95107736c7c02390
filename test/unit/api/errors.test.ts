import { describe, expect, it } from 'vitest';
import { presentError } from '../../../src/api/present/error.ts';
import { type ErrorCode, errorCodes } from '../../../src/base/error-codes.ts';
import { AppError } from '../../../src/base/errors.ts';
import { buildTestApi } from '../../support/build-api.ts';

const post = (url: string, payload: string, contentType = 'application/json') => ({
  method: 'POST' as const,
  url,
  payload,
  headers: { 'content-type': contentType },
});

describe('presentError', () => {
  it('never answers 409, which the stock client repeats', () => {
    for (const code of Object.keys(errorCodes) as ErrorCode[]) {
      const { status, body } = presentError(new AppError(code, 'x'));
      expect(status).not.toBe(409);
      expect(body.error.ext.code).toBe(code);
    }
  });

  it.each([
    ['input.invalid-request', 400, 'invalid_request_error'],
    ['input.unauthorized', 401, 'authentication_error'],
    ['input.not-found', 404, 'not_found_error'],
    ['input.too-large', 413, 'invalid_request_error'],
    ['capacity.engine-busy', 429, 'rate_limit_error'],
    ['transient.store-unreachable', 503, 'server_error'],
  ] as const)('answers %s with %i %s', (code, status, type) => {
    const answer = presentError(new AppError(code, 'what happened', { param: 'field' }));
    expect(answer.status).toBe(status);
    expect(answer.body.error).toMatchObject({ message: 'what happened', type, param: 'field' });
  });

  it('keeps what broke inside us out of the answer', () => {
    const { body } = presentError(
      new AppError('corrupt.record', 'v1/secret/key', { details: { key: 'v1/secret/key' } }),
    );
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  it('tells the client not to repeat what cannot get better', () => {
    expect(presentError(new AppError('corrupt.record', 'x')).headers).toEqual({ 'x-should-retry': 'false' });
    expect(presentError(new AppError('transient.timeout', 'x')).headers).toEqual({ 'x-should-retry': 'false' });
    expect(presentError(new AppError('transient.store-error', 'x')).headers).toEqual({});
    expect(presentError(new AppError('capacity.engine-busy', 'x', { retryAfterMs: 1_500 })).headers).toEqual({
      'retry-after-ms': '1500',
      'retry-after': '2',
    });
  });
});

describe('HTTP errors', () => {
  const { app } = buildTestApi();

  it.each([
    ['an unknown route', { method: 'GET' as const, url: '/v1/nothing?x=1' }, 404, 'input.not-found'],
    ['an unknown method', { method: 'PUT' as const, url: '/v1/batches' }, 404, 'input.not-found'],
    ['a bad percent escape', { method: 'GET' as const, url: '/v1/files/%E0%A4%A' }, 400, 'input.invalid-request'],
    ['an overlong path part', { method: 'GET' as const, url: `/v1/files/${'x'.repeat(300)}` }, 404, 'input.not-found'],
    ['broken JSON', post('/v1/batches', '{"a":'), 400, 'input.invalid-json'],
    ['an empty JSON body', post('/v1/batches', ''), 400, 'input.invalid-request'],
    ['a JSON array', post('/v1/batches', '[]'), 400, 'input.invalid-request'],
    ['another media type', post('/v1/batches', 'a=b', 'text/plain'), 415, 'input.media-type'],
    ['a body over the limit', post('/v1/batches', `{"a":"${'x'.repeat(70_000)}"}`), 413, 'input.too-large'],
    ['a file upload without form', post('/v1/files', '{}'), 415, 'input.media-type'],
    ['a __proto__ key', post('/v1/batches', '{"__proto__":{"x":1}}'), 400, 'input.invalid-json'],
    ['a constructor key', post('/v1/batches', '{"constructor":{"prototype":{"x":1}}}'), 400, 'input.invalid-json'],
  ])('answers %s in the form of OpenAI, with a request id', async (_what, request, status, code) => {
    const answer = await app.inject(request);
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['x-request-id']).toMatch(/^req_[0-9a-f]{24}$/);
    expect(answer.json()).toEqual({
      error: expect.objectContaining({ message: expect.any(String), type: expect.any(String), ext: { code } }),
    });
    expect(answer.json().error).toHaveProperty('param');
    expect(answer.json().error).toHaveProperty('code');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('gives successes a request id too, each its own', async () => {
    const first = await app.inject('/healthz');
    const second = await app.inject({ url: '/healthz', headers: { 'x-request-id': 'mine' } });
    expect(first.headers['x-request-id']).toMatch(/^req_/);
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(second.headers['x-request-id']).not.toBe('mine');
  });

  it('logs what is our fault with the request id, and nothing of it to the caller', async () => {
    const api = buildTestApi();
    api.batches.findBatch = () => Promise.reject(new TypeError('cannot read secret'));
    const answer = await api.app.inject('/v1/batches/batch_0123456789abcdef01234567');
    expect(answer.statusCode).toBe(500);
    expect(answer.json().error).toMatchObject({ type: 'server_error', code: 'internal_error' });
    expect(answer.body).not.toContain('secret');
    const logged = api.log.lines.filter(({ level }) => level === 'error');
    expect(logged).toHaveLength(1);
    expect(logged[0]?.fields.requestId).toBe(answer.headers['x-request-id']);
  });
});

describe('authentication', () => {
  const keyed = buildTestApi({ apiKeys: ['first-key', 'second-key'] }).app;

  it.each([
    ['no header', {}],
    ['another scheme', { authorization: 'Basic Zmlyc3Qta2V5' }],
    ['an unknown key', { authorization: 'Bearer first-ke' }],
    ['no key', { authorization: 'Bearer ' }],
  ])('refuses %s', async (_what, headers) => {
    for (const url of ['/v1/models', '/v1/files', '/metrics']) {
      const answer = await keyed.inject({ url, headers });
      expect(answer.statusCode).toBe(401);
      expect(answer.json().error).toMatchObject({ type: 'authentication_error', code: 'invalid_api_key' });
    }
  });

  it('accepts each of the keys', async () => {
    for (const key of ['first-key', 'second-key']) {
      const answer = await keyed.inject({ url: '/v1/models', headers: { authorization: `Bearer ${key}` } });
      expect(answer.statusCode).toBe(200);
    }
  });

  it('asks nobody for a key when it has none, and probes never', async () => {
    expect((await buildTestApi().app.inject('/v1/models')).statusCode).toBe(200);
    expect((await keyed.inject('/healthz')).statusCode).toBe(200);
    expect((await keyed.inject('/readyz')).statusCode).toBe(200);
  });
});
