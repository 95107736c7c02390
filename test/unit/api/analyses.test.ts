import { describe, expect, it } from 'vitest';
import { moveBatch } from '../../../src/batch/index.ts';
import { keys } from '../../../src/storage/index.ts';
import {
  answerOneLine,
  batchLine,
  buildTestApi,
  modelCard,
  type TestApi,
  uploadBatchFile,
} from '../../support/build-api.ts';

const body = {
  model: modelCard.id,
  documents: [{ name: 'memo.md', text: 'Notice is sixty days.' }],
  question: 'What is the notice period?',
};

const ask = ({ app }: TestApi, payload: object = body) => app.inject({ method: 'POST', url: '/v1/analyses', payload });

const poll = async ({ app }: TestApi, id: string) => (await app.inject(`/v1/analyses/${id}`)).json();

const result = {
  id: 'an_of_the_worker',
  object: 'analysis',
  version: 1,
  model: modelCard.id,
  status: 'completed',
  answer: '60 days',
  found: true,
  parsed: true,
  citations: [{ document: 1, page: 1, start: 0, end: 21, quote: 'Notice is sixty days.', verified: true }],
  coverage: { pages_total: 1, pages_read: 1, skipped: [] },
  reasoning_content: 'read it',
  usage: { prompt_tokens: 20, completion_tokens: 4, total_tokens: 24 },
  timing: { queue_ms: 1, load_ms: 0, prefill_ms: 2, decode_ms: 3 },
  ext: { attempts: 1, resumed_from: null, wasted_tokens: 0, cache_miss: 'first_of_group', raw: null },
};

describe('POST /v1/analyses', () => {
  const refusing = buildTestApi();

  it('answers at once with an analysis whose id is that of its batch', async () => {
    const api = buildTestApi();
    const answer = await ask(api);
    expect(answer.statusCode).toBe(200);
    const { id, batch_id: batchId } = answer.json();
    expect(id).toBe(batchId.replace('batch_', 'an_'));
    expect(answer.json()).toMatchObject({ object: 'analysis', status: 'queued', error: null });
    expect(api.queue.controls).toEqual([{ version: 1, tenant: 'default', batchId }]);
  });

  it('stores one line in a batch before all others, and lists neither batch nor file', async () => {
    const api = buildTestApi();
    const { batch_id: batchId } = (await ask(api)).json();
    const record = await api.batches.getBatch('default', batchId);
    expect(record).toMatchObject({ priority: 'interactive', endpoint: '/v1/analyses' });
    const content = await api.store.get(keys.fileContent('default', record.input_file_id));
    expect(JSON.parse(Buffer.from(content?.body ?? []).toString())).toEqual({
      custom_id: 'request',
      method: 'POST',
      url: '/v1/analyses',
      body,
    });
    expect((await api.app.inject('/v1/batches')).json().data).toEqual([]);
    expect((await api.app.inject('/v1/files')).json().data).toEqual([]);
  });

  it.each([
    ['no question', { ...body, question: undefined }, 400, 'question'],
    ['no document', { ...body, documents: [] }, 400, 'documents'],
    ['another model', { ...body, model: 'gpt-5' }, 404, 'model'],
    ['an unknown field', { ...body, questions: [] }, 400, 'questions'],
    ['streaming', { ...body, stream: true }, 400, 'stream'],
  ])('refuses %s before anything is stored', async (_what, payload, status, param) => {
    const answer = await ask(refusing, payload);
    expect(answer.statusCode).toBe(status);
    expect(answer.json().error.param).toBe(param);
    expect((await refusing.store.list('')).objects).toEqual([]);
  });

  it('refuses a body over the line limit with 413', async () => {
    const api = buildTestApi({ maxLineBytes: 400 });
    const long = (chars: number) => ({ ...body, documents: [{ name: 'a', text: 'x'.repeat(chars) }] });
    expect((await ask(api, long(400))).statusCode).toBe(413);
    // fits as a body, but not with what makes it a line
    const answer = await ask(api, long(250));
    expect(answer.statusCode).toBe(413);
    expect(answer.json().error.message).toContain('at most 400 are allowed');
  });

  it('refuses with 503 while redis is away, and stores nothing that would run unseen', async () => {
    const api = buildTestApi();
    api.queue.away = true;
    const answer = await ask(api);
    expect(answer.statusCode).toBe(503);
    expect(answer.json().error.code).toBe('queue_unreachable');
    expect((await api.store.list('')).objects).toEqual([]);
  });
});

describe('GET /v1/analyses/{id}', () => {
  const api = buildTestApi();

  it('goes from queued over in_progress to completed, with the result in the object', async () => {
    const { id, batch_id: batchId, created_at: createdAt } = (await ask(api)).json();
    expect(await poll(api, id)).toMatchObject({ id, status: 'queued', ext: { current: null } });

    await api.batches.updateBatch('default', batchId, (record) => moveBatch(record, 'in_progress', createdAt));
    await api.bus.saveProgress(batchId, {
      unitId: 'u000000',
      customId: 'request',
      step: 'think',
      promptTokens: 20,
      prefilledTokens: 20,
      completionTokens: 3,
      atMs: 0,
    });
    expect(await poll(api, id)).toMatchObject({
      status: 'in_progress',
      ext: { current: { step: 'think', completion_tokens: 3 }, wait_reason: null },
    });

    await answerOneLine(api, { tenant: 'default', id: batchId }, 200, result);
    expect(await poll(api, id)).toEqual({
      ...result,
      id,
      batch_id: batchId,
      created_at: createdAt,
      status: 'completed',
      error: null,
    });
  });

  it('is failed with the error of its line', async () => {
    const { id, batch_id: batchId } = (await ask(api)).json();
    const error = {
      message: 'prompt of 9000 tokens',
      type: 'invalid_request_error',
      param: null,
      code: 'context_length_exceeded',
    };
    await answerOneLine(api, { tenant: 'default', id: batchId }, 400, { error });
    expect(await poll(api, id)).toMatchObject({ id, status: 'failed', error });
  });

  it('is failed when its batch ended without answer, and says how', async () => {
    const { id, batch_id: batchId } = (await ask(api)).json();
    await api.batches.updateBatch('default', batchId, (record) => moveBatch(record, 'expired', record.created_at));
    expect(await poll(api, id)).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
  });

  it('finds the answer in the error file of a line that never became a unit', async () => {
    const { id, batch_id: batchId } = (await ask(api)).json();
    const error = {
      message: 'no such document',
      type: 'invalid_request_error',
      param: 'documents[0]',
      code: 'document_not_found',
    };
    const line = {
      id: 'r',
      custom_id: 'request',
      response: { status_code: 400, request_id: 'q', body: { error } },
      error: null,
    };
    await api.store.put(keys.errors('default', batchId), Buffer.from(`${JSON.stringify(line)}\n`));
    await api.batches.updateBatch('default', batchId, (record) =>
      moveBatch(moveBatch(moveBatch(record, 'in_progress', 1), 'finalizing', 1), 'completed', 1),
    );
    expect(await poll(api, id)).toMatchObject({ status: 'failed', error });
  });

  it('answers 404 to ids of nothing and to those of other batches', async () => {
    const inputFileId = await uploadBatchFile(api, [batchLine('a')]);
    const payload = { input_file_id: inputFileId, endpoint: '/v1/analyses', completion_window: '24h' };
    const batch = (await api.app.inject({ method: 'POST', url: '/v1/batches', payload })).json();
    for (const id of [batch.id.replace('batch_', 'an_'), 'an_0123456789abcdef01234567', batch.id, 'an_..']) {
      const answer = await api.app.inject(`/v1/analyses/${id}`);
      expect(answer.statusCode).toBe(404);
      expect(answer.json().error.message).toContain('no such analysis');
    }
  });
});
