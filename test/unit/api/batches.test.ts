import { describe, expect, it } from 'vitest';
import { moveBatch } from '../../../src/batch/index.ts';
import { noUsage } from '../../../src/batch/usage.ts';
import { batchLine, buildForm, buildTestApi, type TestApi, uploadBatchFile } from '../../support/build-api.ts';

const create = (api: TestApi, body: object, headers: Record<string, string> = {}) =>
  api.app.inject({ method: 'POST', url: '/v1/batches', payload: body, headers });

const request = (inputFileId: string) => ({
  input_file_id: inputFileId,
  endpoint: '/v1/chat/completions',
  completion_window: '24h',
});

const createOne = async (api: TestApi, extra: object = {}): Promise<Record<string, unknown> & { id: string }> => {
  const fileId = await uploadBatchFile(api, [batchLine('a')]);
  const answer = await create(api, { ...request(fileId), ...extra });
  expect(answer.statusCode).toBe(200);
  return answer.json();
};

describe('POST /v1/batches', () => {
  // refused creates leave nothing behind
  const shared = buildTestApi();
  const accepting = buildTestApi();

  it('answers the whole object of OpenAI, with everything else under ext', async () => {
    const api = accepting;
    const inputFileId = await uploadBatchFile(api, [batchLine('a')]);
    const batch = (await create(api, { ...request(inputFileId), metadata: { customer: 'acme' } })).json();
    expect(batch).toEqual({
      id: expect.stringMatching(/^batch_[0-9a-f]{24}$/),
      object: 'batch',
      endpoint: '/v1/chat/completions',
      errors: null,
      input_file_id: inputFileId,
      completion_window: '24h',
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      created_at: expect.any(Number),
      in_progress_at: null,
      expires_at: batch.created_at + 86_400,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      metadata: { customer: 'acme' },
      ext: { current: [], wait_reason: 'the input file is being checked and planned', error_total: 0 },
    });
  });

  it('stores the batch and tells the janitor', async () => {
    const api = buildTestApi();
    const { id } = await createOne(api);
    expect(api.queue.controls).toEqual([{ version: 1, tenant: 'default', batchId: id }]);
    expect(await api.batches.findBatch('default', id)).toMatchObject({ id, priority: 'batch' });
  });

  it('accepts a batch while redis is away: the sweep finds it', async () => {
    const api = buildTestApi();
    api.queue.away = true;
    const { id } = await createOne(api);
    expect(await api.batches.findBatch('default', id)).toBeDefined();
    expect(api.log.lines).toContainEqual(expect.objectContaining({ level: 'warn' }));
  });

  it.each([
    ['24h', 86_400],
    ['1h', 3_600],
    ['12h', 43_200],
    ['7d', 604_800],
  ])('accepts the window %s', async (window, seconds) => {
    const batch = await createOne(accepting, { completion_window: window });
    expect(Number(batch['expires_at']) - Number(batch['created_at'])).toBe(seconds);
  });

  const pairs = (total: number): Record<string, string> =>
    Object.fromEntries(Array.from({ length: total }, (_, index) => [`key${index}`, 'v']));

  it.each([
    ['a missing window', { completion_window: undefined }, 'completion_window'],
    ['a window over a week', { completion_window: '8d' }, 'completion_window'],
    ['a window without unit', { completion_window: '24' }, 'completion_window'],
    ['a window of another type', { completion_window: 24 }, 'completion_window'],
    ['an endpoint we do not serve', { endpoint: '/v1/responses' }, 'endpoint'],
    ['17 metadata pairs', { metadata: pairs(17) }, 'metadata'],
    ['a metadata key of 65 characters', { metadata: { ['k'.repeat(65)]: 'v' } }, 'metadata'],
    ['a metadata value of 513 characters', { metadata: { key: 'v'.repeat(513) } }, 'metadata.key'],
    ['a metadata value that is no text', { metadata: { key: 1 } }, 'metadata.key'],
    ['metadata that is a list', { metadata: [] }, 'metadata'],
    [
      'a short output lifetime',
      { output_expires_after: { anchor: 'created_at', seconds: 60 } },
      'output_expires_after.seconds',
    ],
    ['another anchor', { output_expires_after: { anchor: 'now', seconds: 3_600 } }, 'output_expires_after.anchor'],
  ])('refuses %s with 400', async (_what, change, param) => {
    const fileId = await uploadBatchFile(shared, [batchLine('a')]);
    const answer = await create(shared, { ...request(fileId), ...change });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error).toMatchObject({ type: 'invalid_request_error', param });
    expect(shared.queue.controls).toEqual([]);
  });

  it('accepts 16 metadata pairs of 64 and 512 characters, null metadata and an output lifetime', async () => {
    const metadata = Object.fromEntries(
      Array.from({ length: 16 }, (_, index) => [`${index}`.padEnd(64, 'k'), 'v'.repeat(512)]),
    );
    const batch = await createOne(accepting, {
      metadata,
      output_expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    expect(batch['metadata']).toEqual(metadata);
    expect((await createOne(accepting, { metadata: null }))['metadata']).toBeNull();
  });

  it('names every unknown field', async () => {
    const answer = await create(shared, {
      ...request('file-0123456789abcdef01234567'),
      window: '1h',
      output_expires_after: { anchor: 'created_at', seconds: 3_600, days: 1 },
    });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error).toMatchObject({ code: 'unknown_parameter' });
    expect(answer.json().error.message).toContain('"window"');
    expect(answer.json().error.message).toContain('"output_expires_after.days"');
  });

  it.each(['file-0123456789abcdef01234567', '../open/batch', ''])('refuses the input file %s with 404', async (id) => {
    const answer = await create(shared, request(id));
    expect(answer.statusCode).toBe(404);
    expect(answer.json().error).toMatchObject({ param: 'input_file_id', type: 'not_found_error' });
  });

  it('refuses a file that was not uploaded for batches', async () => {
    const api = accepting;
    const form = buildForm([
      { name: 'file', filename: 'a.txt', value: 'text' },
      { name: 'purpose', value: 'user_data' },
    ]);
    const { id } = (await api.app.inject({ method: 'POST', url: '/v1/files', ...form })).json();
    const answer = await create(api, request(id));
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error.param).toBe('input_file_id');
  });

  it('gives a repeat by the stock client the batch of its first try, and a second wish a second batch', async () => {
    const api = accepting;
    const body = request(await uploadBatchFile(api, [batchLine('a')]));
    const first = (await create(api, body, { 'x-stainless-retry-count': '0' })).json();
    const repeat = (await create(api, body, { 'x-stainless-retry-count': '1' })).json();
    const second = (await create(api, body, { 'x-stainless-retry-count': '0' })).json();
    expect(repeat.id).toBe(first.id);
    expect(second.id).not.toBe(first.id);
  });

  it('gives one idempotency key one batch and refuses it for another', async () => {
    const api = accepting;
    const body = request(await uploadBatchFile(api, [batchLine('a')]));
    const headers = { 'idempotency-key': 'order-7' };
    const first = (await create(api, body, headers)).json();
    expect((await create(api, body, headers)).json().id).toBe(first.id);
    const other = await create(api, { ...body, completion_window: '1h' }, headers);
    expect(other.statusCode).toBe(400);
    expect((await create(api, body, { 'idempotency-key': 'x'.repeat(256) })).statusCode).toBe(400);
  });
});

describe('batches', () => {
  const empty = buildTestApi();
  const any = buildTestApi();

  it('shows what runs while it runs, and why it waits when nothing does', async () => {
    const api = buildTestApi();
    const { id } = await createOne(api);
    await api.batches.updateBatch('default', id, (record) => moveBatch(record, 'in_progress', record.created_at));
    const ext = async () => (await api.app.inject(`/v1/batches/${id}`)).json().ext;

    expect((await ext()).wait_reason).toBe('units are being put into the work queue');
    api.queue.jobCounts = { waiting: 3, active: 0, delayed: 0 };
    expect((await ext()).wait_reason).toBe('no worker is running: 3 units waiting in all');
    api.queue.jobCounts = { waiting: 3, active: 2, delayed: 0 };
    expect((await ext()).wait_reason).toBe('queued: 3 units waiting in all, 2 running');
    api.queue.away = true;
    expect((await ext()).wait_reason).toContain('unreachable');

    await api.bus.saveProgress(id, {
      unitId: 'u000000',
      customId: 'a',
      step: 'prefill',
      promptTokens: 900,
      prefilledTokens: 512,
      completionTokens: 0,
      atMs: 0,
    });
    expect(await ext()).toEqual({
      current: [{ custom_id: 'a', step: 'prefill', prompt_tokens: 900, prefilled_tokens: 512, completion_tokens: 0 }],
      wait_reason: null,
      error_total: 0,
    });
  });

  it('lists bad lines as OpenAI does', async () => {
    const api = any;
    const { id } = await createOne(api);
    const errors = [{ code: 'invalid_json_line', message: 'not JSON', param: null, line: 3 }];
    await api.batches.updateBatch('default', id, (record) =>
      moveBatch(record, 'failed', record.created_at, { errors, error_total: 250 }),
    );
    const batch = (await api.app.inject(`/v1/batches/${id}`)).json();
    expect(batch).toMatchObject({ status: 'failed', errors: { object: 'list', data: errors } });
    expect(batch.ext).toEqual({ current: [], wait_reason: null, error_total: 250 });
  });

  it('cancels on an empty request without content type, and says so to the workers', async () => {
    const api = any;
    const { id } = await createOne(api);
    const cancel = () => api.app.inject({ method: 'POST', url: `/v1/batches/${id}/cancel` });
    const answer = await cancel();
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toMatchObject({ id, status: 'cancelling', cancelling_at: expect.any(Number) });
    expect(api.bus.events).toContainEqual({ type: 'batch-cancel', batchId: id });
    expect((await cancel()).json()).toMatchObject({ status: 'cancelling' });
  });

  it('pauses at a token budget, says so, and goes on with a larger one', async () => {
    const api = any;
    const { id, ext } = await createOne(api, { token_budget: 100 });
    expect(ext).toMatchObject({ token_budget: { tokens: 100, used: 0, paused_at: null } });
    const usage = { ...noUsage, total_tokens: 120 };
    const counts = { total: 3, completed: 1, failed: 0 };
    await api.batches.updateBatch('default', id, (record) => ({
      ...moveBatch(record, 'in_progress', record.created_at, { request_counts: counts, usage }),
      paused_at: record.created_at,
    }));
    const paused = (await api.app.inject(`/v1/batches/${id}`)).json();
    expect(paused).toMatchObject({
      status: 'in_progress',
      ext: { current: [], token_budget: { tokens: 100, used: 120, paused_at: paused.created_at } },
    });
    expect(paused.ext.wait_reason).toBe(
      `the token budget of 100 is used up (120 tokens); the batch goes on with a larger one: POST /v1/batches/${id}/budget`,
    );
    const change = (payload: object) => api.app.inject({ method: 'POST', url: `/v1/batches/${id}/budget`, payload });
    const hints = api.queue.controls.length;
    const raised = await change({ token_budget: 1_000 });
    expect(raised.statusCode).toBe(200);
    expect(raised.json().ext.token_budget).toEqual({ tokens: 1_000, used: 120, paused_at: null });
    expect(api.queue.controls).toHaveLength(hints + 1);
    expect((await change({ token_budget: null })).json().ext).not.toHaveProperty('token_budget');
    for (const wrong of [{ token_budget: 0 }, { token_budget: '5' }, {}, { token_budget: 5, more: 1 }]) {
      expect((await change(wrong)).statusCode).toBe(400);
    }
  });

  it('cancels on an empty JSON body too', async () => {
    const api = any;
    const { id } = await createOne(api);
    const headers = { 'content-type': 'application/json' };
    const answer = await api.app.inject({ method: 'POST', url: `/v1/batches/${id}/cancel`, headers });
    expect(answer.json()).toMatchObject({ status: 'cancelling' });
  });

  it('refuses to cancel what is final, with 400 and not 409', async () => {
    const api = any;
    const { id } = await createOne(api);
    await api.batches.updateBatch('default', id, (record) => moveBatch(record, 'failed', record.created_at));
    const answer = await api.app.inject({ method: 'POST', url: `/v1/batches/${id}/cancel` });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error).toMatchObject({ code: 'invalid_state' });
  });

  it('lists newest first, page by page', async () => {
    let nowMs = 1_760_000_000_000;
    const clock = { nowMs: () => nowMs, sleep: () => Promise.reject(new Error('not used')) };
    const api = buildTestApi({}, clock);
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) {
      ids.unshift((await createOne(api)).id);
      nowMs += 1_000;
    }
    const first = (await api.app.inject('/v1/batches?limit=2')).json();
    expect(first.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(0, 2));
    expect(first).toMatchObject({ object: 'list', first_id: ids[0], last_id: ids[1], has_more: true });
    const second = (await api.app.inject(`/v1/batches?limit=3&after=${first.last_id}`)).json();
    expect(second.data.map(({ id }: { id: string }) => id)).toEqual(ids.slice(2));
    expect(second.has_more).toBe(false);
  });

  it.each([
    ['limit=0', 400],
    ['limit=101', 400],
    ['after=batch_0123456789abcdef01234567', 404],
    ['after=nonsense', 404],
    ['status=failed', 400],
  ])('refuses the query %s with %i', async (query, status) => {
    expect((await empty.app.inject(`/v1/batches?${query}`)).statusCode).toBe(status);
  });

  it.each(['/v1/batches/batch_0123456789abcdef01234567', '/v1/batches/..%2Fx'])('answers 404 to %s', async (url) => {
    const answer = await empty.app.inject(url);
    expect(answer.statusCode).toBe(404);
    expect(answer.json().error.type).toBe('not_found_error');
  });
});
