import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { moveBatch } from '../../../src/batch/index.ts';
import { answerOneLine, buildTestApi, modelCard, type TestApi } from '../../support/build-api.ts';
import { waitingBatch } from '../../support/line-news.ts';

const body = { model: modelCard.id, messages: [{ role: 'user', content: 'hello' }] };

const complete = ({ app }: TestApi, payload: object = body) =>
  app.inject({ method: 'POST', url: '/v1/chat/completions', payload });

const completion = {
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: modelCard.id,
  choices: [
    {
      index: 0,
      logprobs: null,
      finish_reason: 'stop',
      message: { role: 'assistant', content: 'hi', refusal: null, reasoning_content: 'r', reasoning: 'r' },
    },
  ],
  usage: {
    prompt_tokens: 5,
    completion_tokens: 2,
    total_tokens: 7,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 1 },
  },
  system_fingerprint: 'abc',
  ext: { attempts: 1 },
};

describe('POST /v1/chat/completions', () => {
  const refusing = buildTestApi();

  it('waits for the line of its batch and passes the answer on unchanged', async () => {
    const api = buildTestApi({ syncPollMs: 60_000 });
    const answer = complete(api);
    const batch = await waitingBatch(api);
    expect(await api.batches.getBatch('default', batch.id)).toMatchObject({
      priority: 'interactive',
      endpoint: '/v1/chat/completions',
      status: 'validating',
    });
    await answerOneLine(api, batch, 200, completion);
    expect((await answer).statusCode).toBe(200);
    expect((await answer).json()).toEqual(completion);
    expect(api.bus.events.map(({ type }) => type)).not.toContain('batch-cancel');
  });

  it('finds the answer by looking when the event is lost', async () => {
    const api = buildTestApi({ syncPollMs: 5 });
    const answer = complete(api);
    const batch = await waitingBatch(api);
    api.bus.publish = async () => {};
    await answerOneLine(api, batch, 200, completion);
    expect((await answer).statusCode).toBe(200);
  });

  it('passes the error of the line on, with its status', async () => {
    const api = buildTestApi();
    const answer = complete(api);
    const error = {
      message: 'too long',
      type: 'invalid_request_error',
      param: 'messages',
      code: 'context_length_exceeded',
    };
    await answerOneLine(api, await waitingBatch(api), 400, { error });
    expect((await answer).statusCode).toBe(400);
    expect((await answer).json().error).toMatchObject(error);
  });

  it('answers the first error of a batch that was refused', async () => {
    const api = buildTestApi();
    const answer = complete(api);
    const { id } = await waitingBatch(api);
    const errors = [{ code: 'line_too_long', message: 'the line is too long', param: 'body', line: 1 }];
    await api.batches.updateBatch('default', id, (record) =>
      moveBatch(record, 'failed', 1, { errors, error_total: 1 }),
    );
    await api.bus.publish({ type: 'batch-change', batchId: id, status: 'failed' });
    expect((await answer).statusCode).toBe(400);
    expect((await answer).json().error).toMatchObject({ message: 'the line is too long', param: 'body' });
  });

  it('gives up after its time limit with 503 that is not repeated, and cancels the batch', async () => {
    const api = buildTestApi({ syncTimeoutMs: 30 });
    const answer = complete(api);
    const { id } = await waitingBatch(api);
    expect((await answer).statusCode).toBe(503);
    expect((await answer).headers['x-should-retry']).toBe('false');
    expect((await answer).json().error).toMatchObject({
      code: 'timeout',
      message: expect.stringContaining('as a batch'),
    });
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
    expect(api.bus.events).toContainEqual({ type: 'batch-cancel', batchId: id });
    expect(api.queue.controls.filter(({ batchId }) => batchId === id)).toHaveLength(2);
  });

  it('tells waiting callers when the server closes, and cancels what they waited for', async () => {
    const api = buildTestApi();
    const answer = complete(api);
    const { id } = await waitingBatch(api);
    await api.app.close();
    expect((await answer).statusCode).toBe(503);
    expect((await answer).json().error.code).toBe('shutting_down');
    expect((await answer).headers['x-should-retry']).toBeUndefined();
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
    expect(api.bus.listenerTotal).toBe(0);
  });

  it('leaves no listener behind', async () => {
    const api = buildTestApi();
    await api.app.ready();
    const before = api.bus.listenerTotal;
    const answer = complete(api);
    const batch = await waitingBatch(api);
    await answerOneLine(api, batch, 200, completion);
    await answer;
    expect(api.bus.listenerTotal).toBe(before);
  });

  it.each([
    ['options of a stream without one', { ...body, stream_options: { include_usage: true } }, 400, 'stream_options'],
    ['too many choices', { ...body, n: 9 }, 400, 'n'],
    ['another model', { ...body, model: 'gpt-5' }, 404, 'model'],
    ['no messages', { model: modelCard.id }, 400, 'messages'],
    ['an unknown field', { ...body, temprature: 1 }, 400, 'temprature'],
  ])('refuses %s before anything is stored', async (_what, payload, status, param) => {
    const answer = await complete(refusing, payload);
    expect(answer.statusCode).toBe(status);
    expect(answer.json().error.param).toBe(param);
    expect((await refusing.store.list('')).objects).toEqual([]);
  });

  it('cancels what it stored when redis goes away before the janitor is told', async () => {
    const api = buildTestApi();
    api.queue.addControl = () => Promise.reject(new AppError('transient.queue-unreachable', 'redis is away'));
    expect((await complete(api)).statusCode).toBe(503);
    const { objects } = await api.store.list('v1/open/');
    expect(objects).toHaveLength(1);
    const id = objects[0]?.key.slice('v1/open/'.length) ?? '';
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
  });

  it('refuses with 503 while redis is away', async () => {
    const api = buildTestApi();
    api.queue.away = true;
    expect((await complete(api)).statusCode).toBe(503);
    expect((await api.store.list('')).objects).toEqual([]);
  });
});
