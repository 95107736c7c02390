import { describe, expect, it } from 'vitest';
import { answerOneLine, buildTestApi, modelCard, type TestApi } from '../../support/build-api.ts';
import { waitingBatch } from '../../support/line-news.ts';

const ask = { model: modelCard.id, input: ['a', 'b'] };

const embed = ({ app }: TestApi, payload: object = ask) =>
  app.inject({ method: 'POST', url: '/v1/embeddings', payload });

const list = {
  object: 'list',
  data: [
    { object: 'embedding', index: 0, embedding: [0.6, -0.8] },
    { object: 'embedding', index: 1, embedding: 'zczMPg==' },
  ],
  model: modelCard.id,
  usage: { prompt_tokens: 4, total_tokens: 4 },
  ext: { attempts: 1 },
};

describe('POST /v1/embeddings', () => {
  const refusing = buildTestApi();

  it('waits for the line of its batch and passes the answer on unchanged', async () => {
    const api = buildTestApi({ syncPollMs: 60_000 });
    const answer = embed(api);
    const batch = await waitingBatch(api);
    expect(await api.batches.getBatch('default', batch.id)).toMatchObject({
      priority: 'interactive',
      endpoint: '/v1/embeddings',
    });
    await answerOneLine(api, batch, 200, list);
    expect((await answer).statusCode).toBe(200);
    expect((await answer).json()).toEqual(list);
  });

  it('passes the error of the line on', async () => {
    const api = buildTestApi();
    const answer = embed(api);
    const error = {
      message: 'too long',
      type: 'invalid_request_error',
      param: 'input',
      code: 'context_length_exceeded',
    };
    await answerOneLine(api, await waitingBatch(api), 400, { error });
    expect((await answer).statusCode).toBe(400);
    expect((await answer).json().error).toMatchObject(error);
  });

  it('cancels the line after its time limit', async () => {
    const api = buildTestApi({ syncTimeoutMs: 30 });
    const answer = embed(api);
    const { id } = await waitingBatch(api);
    expect((await answer).statusCode).toBe(503);
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
  });

  it.each([
    ['no input', { model: modelCard.id }, 400, 'input', /input is required/],
    ['an empty input', { ...ask, input: ['a', ''] }, 400, 'input[1]', /must not be empty/],
    ['other dimensions', { ...ask, dimensions: 8 }, 400, 'dimensions', /dimensions is 8; this model has 64/],
    ['another model', { ...ask, model: 'text-embedding-3-small' }, 404, 'model', /quire-nano/],
    ['an unknown field', { ...ask, task: 'x' }, 400, 'task', /task/],
  ])('refuses %s before anything is stored', async (_what, payload, status, param, message) => {
    const answer = await embed(refusing, payload);
    expect(answer.statusCode).toBe(status);
    expect(answer.json().error).toMatchObject({ param, message: expect.stringMatching(message) });
    expect((await refusing.store.list('')).objects).toEqual([]);
  });

  it('takes the dimensions that the model has', async () => {
    const api = buildTestApi();
    const answer = embed(api, { ...ask, dimensions: modelCard.hiddenWidth });
    await answerOneLine(api, await waitingBatch(api), 200, list);
    expect((await answer).statusCode).toBe(200);
  });
});
