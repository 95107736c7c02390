import { describe, expect, it } from 'vitest';
import { buildForm, buildTestApi, type TestApi } from '../../support/build-api.ts';

type Part = Parameters<typeof buildForm>[0][number];

const file: Part = { name: 'file', filename: 'lease.md', value: 'sixty days' };
const purpose = (value: string): Part => ({ name: 'purpose', value });

const upload = ({ app }: TestApi, parts: readonly Part[]) =>
  app.inject({ method: 'POST', url: '/v1/files', ...buildForm(parts) });

const storedKeys = async ({ store }: TestApi): Promise<readonly string[]> =>
  (await store.list('')).objects.map(({ key }) => key);

describe('POST /v1/files', () => {
  // refused uploads leave nothing behind, so they can share a server: building one takes 50 ms
  const shared = buildTestApi();
  const accepting = buildTestApi();

  it.each([
    ['before', [file, purpose('user_data')]],
    ['after', [purpose('user_data'), file]],
  ] as const)('takes the file %s its purpose', async (_order, parts) => {
    const api = accepting;
    const answer = await upload(api, parts);
    expect(answer.statusCode).toBe(200);
    const { id, created_at: createdAt } = answer.json();
    expect(answer.json()).toEqual({
      id,
      object: 'file',
      bytes: 10,
      created_at: createdAt,
      filename: 'lease.md',
      purpose: 'user_data',
      status: 'processed',
    });
    const content = await api.app.inject(`/v1/files/${id}/content`);
    expect(content.body).toBe('sixty days');
  });

  it.each(['batch', 'user_data', 'assistants', 'file-extract'])('takes the purpose %s', async (value) => {
    const answer = await upload(accepting, [file, purpose(value)]);
    expect(answer.json()).toMatchObject({ purpose: value });
  });

  it('keeps batch inputs 30 days, other files until they are deleted, and any file as long as asked', async () => {
    const api = accepting;
    const lifetime = async (parts: readonly Part[]): Promise<number | undefined> => {
      const { created_at: from, expires_at: to } = (await upload(api, parts)).json();
      return to === undefined ? undefined : to - from;
    };
    const asked = [
      { name: 'expires_after[anchor]', value: 'created_at' },
      { name: 'expires_after[seconds]', value: '3600' },
    ];
    expect(await lifetime([file, purpose('batch')])).toBe(2_592_000);
    expect(await lifetime([file, purpose('user_data')])).toBeUndefined();
    expect(await lifetime([file, purpose('batch'), ...asked])).toBe(3_600);
  });

  it.each([
    ['no file', [purpose('batch')], 'file'],
    ['no purpose', [file], 'purpose'],
    ['an unknown purpose', [file, purpose('cats')], 'purpose'],
    ['an unknown field', [file, purpose('batch'), { name: 'color', value: 'red' }], 'color'],
    ['a file in another field', [{ ...file, name: 'upload' }, purpose('batch')], 'upload'],
    ['two files', [file, file, purpose('batch')], 'file'],
    ['two purposes', [purpose('batch'), file, purpose('batch')], 'purpose'],
    ['a long purpose', [file, purpose('x'.repeat(5_000))], 'purpose'],
    ['a lifetime without anchor', [file, purpose('batch'), { name: 'expires_after[seconds]', value: '3600' }], null],
    [
      'a lifetime under an hour',
      [
        file,
        purpose('batch'),
        { name: 'expires_after[anchor]', value: 'created_at' },
        { name: 'expires_after[seconds]', value: '3599' },
      ],
      'expires_after[seconds]',
    ],
  ] as const)('refuses %s and keeps nothing', async (_what, parts, param) => {
    const answer = await upload(shared, parts);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error).toMatchObject({ type: 'invalid_request_error', param });
    expect(await storedKeys(shared)).toEqual([]);
  });

  it('names the allowed purposes', async () => {
    const answer = await upload(shared, [file, purpose('cats')]);
    expect(answer.json().error.message).toBe(
      'purpose must be one of "batch", "user_data", "assistants", "file-extract", met "cats"',
    );
  });

  it('refuses a file over the limit with 413 and keeps nothing of it', async () => {
    const api = buildTestApi({ maxFileBytes: 9 });
    const answer = await upload(api, [file, purpose('batch')]);
    expect(answer.statusCode).toBe(413);
    expect(answer.json().error.ext.code).toBe('input.too-large');
    expect(await storedKeys(api)).toEqual([]);
  });

  it('takes a file of exactly the limit', async () => {
    expect((await upload(buildTestApi({ maxFileBytes: 10 }), [file, purpose('batch')])).statusCode).toBe(200);
  });

  it('refuses by its length what cannot fit, without storing a byte', async () => {
    const api = buildTestApi({ maxFileBytes: 10 });
    const answer = await upload(api, [{ ...file, value: 'x'.repeat(2_000_000) }, purpose('batch')]);
    expect(answer.statusCode).toBe(413);
    expect(answer.json().error.message).toContain('at most 10 are allowed');
    expect(await storedKeys(api)).toEqual([]);
  });

  it('refuses a field named __proto__', async () => {
    const api = shared;
    const answer = await upload(api, [file, { name: '__proto__', value: 'x' }, purpose('batch')]);
    expect(answer.statusCode).toBe(400);
    expect(await storedKeys(api)).toEqual([]);
  });

  it('keeps nothing of a form that ends in the middle', async () => {
    const api = shared;
    const { payload, headers } = buildForm([file, purpose('batch')]);
    const answer = await api.app.inject({
      method: 'POST',
      url: '/v1/files',
      headers,
      payload: payload.slice(0, payload.indexOf('sixty') + 3),
    });
    expect(answer.statusCode).toBe(400);
    expect(await storedKeys(api)).toEqual([]);
  });
});

describe('files', () => {
  const empty = buildTestApi();

  const uploadMany = async (api: TestApi, total: number): Promise<string[]> => {
    const ids: string[] = [];
    for (let index = 0; index < total; index++) {
      ids.push((await upload(api, [file, purpose(index % 2 === 0 ? 'user_data' : 'batch')])).json().id);
    }
    return ids;
  };

  it('lists page by page until has_more is false', async () => {
    const api = buildTestApi();
    const ids = await uploadMany(api, 5);
    const seen: string[] = [];
    for (let after = '', more = true; more; ) {
      const page = (await api.app.inject(`/v1/files?limit=2${after === '' ? '' : `&after=${after}`}`)).json();
      expect(page).toMatchObject({ object: 'list', first_id: page.data[0].id, last_id: page.data.at(-1).id });
      seen.push(...page.data.map(({ id }: { id: string }) => id));
      [after, more] = [page.last_id, page.has_more];
    }
    expect(seen.toSorted()).toEqual(ids.toSorted());
  });

  it('lists one purpose only when asked', async () => {
    const api = buildTestApi();
    await uploadMany(api, 4);
    const { data } = (await api.app.inject('/v1/files?purpose=batch&order=asc')).json();
    expect(data.map((one: { purpose: string }) => one.purpose)).toEqual(['batch', 'batch']);
  });

  it('answers an empty list with null ids', async () => {
    expect((await empty.app.inject('/v1/files')).json()).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
  });

  it('serves content with its length, as bytes no browser runs', async () => {
    const api = buildTestApi();
    const [id] = await uploadMany(api, 1);
    const { headers } = await api.app.inject(`/v1/files/${id}/content`);
    expect(headers).toMatchObject({
      'content-length': '10',
      'content-type': 'application/octet-stream',
      'x-content-type-options': 'nosniff',
    });
  });

  it('forgets a deleted file altogether', async () => {
    const api = buildTestApi();
    const [id] = await uploadMany(api, 1);
    const answer = await api.app.inject({ method: 'DELETE', url: `/v1/files/${id}` });
    expect(answer.json()).toEqual({ id, object: 'file', deleted: true });
    expect((await api.app.inject(`/v1/files/${id}`)).statusCode).toBe(404);
    // a tombstone without content, and the entry of the upload that would have cleaned up after it
    const left = await storedKeys(api);
    expect(left.filter((key) => !/^v1\/(?:deleted|expiring)\//.test(key))).toEqual([]);
    expect(left.length).toBeLessThanOrEqual(2);
  });

  it.each([
    ['GET', '/v1/files/file-0123456789abcdef01234567'],
    ['GET', '/v1/files/file-0123456789abcdef01234567/content'],
    ['DELETE', '/v1/files/file-0123456789abcdef01234567'],
    ['GET', '/v1/files/..%2F..%2Fopen'],
    ['GET', '/v1/files?after=file-0123456789abcdef01234567'],
  ] as const)('answers 404 to %s %s', async (method, url) => {
    const answer = await empty.app.inject({ method, url });
    expect(answer.statusCode).toBe(404);
    expect(answer.json().error).toMatchObject({ type: 'not_found_error', code: 'not_found' });
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=10001', 'limit'],
    ['limit=many', 'limit'],
    ['order=newest', 'order'],
    ['colour=red', 'colour'],
  ])('refuses the query %s', async (query, param) => {
    const answer = await empty.app.inject(`/v1/files?${query}`);
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error.param).toBe(param);
  });
});
