import { describe, expect, it } from 'vitest';
import { compileApiOptions } from '../../../src/api/options.ts';
import { AppError } from '../../../src/base/errors.ts';
import { buildTestApi, modelCard } from '../../support/build-api.ts';

describe('probes', () => {
  it('is alive whatever is missing', async () => {
    const api = buildTestApi();
    api.queue.away = true;
    expect((await api.app.inject('/healthz')).json()).toEqual({ status: 'ok' });
  });

  it('is ready when store and redis answer', async () => {
    const answer = await buildTestApi().app.inject('/readyz');
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual({ status: 'ready' });
  });

  it('names what is missing', async () => {
    const api = buildTestApi();
    api.queue.away = true;
    const withoutRedis = await api.app.inject('/readyz');
    expect(withoutRedis.statusCode).toBe(503);
    expect(withoutRedis.json().error).toMatchObject({
      message: 'not ready: no answer from redis',
      code: 'queue_unreachable',
      ext: { details: { missing: 'redis' } },
    });
    api.store.check = () => Promise.reject(new AppError('transient.store-unreachable', 'away'));
    expect((await api.app.inject('/readyz')).json().error.ext.details).toEqual({ missing: 'object store, redis' });
  });
});

describe('GET /metrics', () => {
  it('counts requests by route and status, never by id', async () => {
    const { app } = buildTestApi();
    await app.inject('/v1/batches/batch_0123456789abcdef01234567');
    await app.inject('/v1/batches');
    await app.inject('/nowhere/secret');
    const answer = await app.inject('/metrics');
    expect(answer.headers['content-type']).toContain('text/plain');
    expect(answer.body).toContain(
      'quire_http_requests_total{method="GET",route="/v1/batches/:batch_id",status="404"} 1',
    );
    expect(answer.body).toContain('quire_http_requests_total{method="GET",route="/v1/batches",status="200"} 1');
    expect(answer.body).toContain('quire_http_requests_total{method="GET",route="unknown",status="404"} 1');
    expect(answer.body).toMatch(/quire_http_request_duration_seconds_bucket\{.*route="\/v1\/batches"/);
    expect(answer.body).not.toContain('batch_0123');
    expect(answer.body).not.toContain('secret');
    expect(answer.body).toContain('process_cpu_seconds_total');
  });

  it('shows the queue while redis is there, and goes on without it', async () => {
    const { app, queue } = buildTestApi();
    queue.jobCounts = { waiting: 4, active: 2, delayed: 1 };
    const { body } = await app.inject('/metrics');
    for (const line of ['waiting"} 4', 'active"} 2', 'delayed"} 1'])
      expect(body).toContain(`quire_queue_jobs{state="${line}`);
    queue.away = true;
    const without = await app.inject('/metrics');
    expect(without.statusCode).toBe(200);
    expect(without.body).not.toContain('quire_queue_jobs{');
  });

  it('counts the moves of batches it hears of', async () => {
    const { app, bus } = buildTestApi();
    await bus.publish({ type: 'batch-change', batchId: 'b', status: 'completed' });
    await bus.publish({ type: 'unit-end', batchId: 'b', unitId: 'u' });
    expect((await app.inject('/metrics')).body).toContain('quire_batch_transitions_total{status="completed"} 1');
  });
});

describe('models', () => {
  const { app } = buildTestApi();

  it('lists what is served, and finds it by id', async () => {
    const list = (await app.inject('/v1/models')).json();
    expect(list).toMatchObject({ object: 'list', data: [{ id: modelCard.id, object: 'model', owned_by: 'quire' }] });
    expect((await app.inject(`/v1/models/${modelCard.id}`)).json()).toEqual(list.data[0]);
    expect(list.data[0].ext).toMatchObject({ context_tokens: 8_192, weights: 'trained', notice: null });
  });

  it('answers 404 to others, naming what is served', async () => {
    const answer = await app.inject('/v1/models/moonshotai%2FKimi-K2-Thinking');
    expect(answer.statusCode).toBe(404);
    expect(answer.json().error).toMatchObject({ code: 'model_not_found', param: 'model' });
    expect(answer.json().error.message).toContain('served here: quire-nano');
  });
});

describe('compileApiOptions', () => {
  it('fills in what is left out', () => {
    expect(compileApiOptions({ apiKeys: null })).toMatchObject({ maxFileBytes: 536_870_912, syncTimeoutMs: 570_000 });
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses %d as a limit', (maxFileBytes) => {
    expect(() => compileApiOptions({ apiKeys: null, maxFileBytes })).toThrow(
      'maxFileBytes must be a positive whole number',
    );
  });
});
