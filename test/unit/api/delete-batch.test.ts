import { describe, expect, it } from 'vitest';
import { batchLine, buildTestApi, uploadBatchFile } from '../../support/build-api.ts';

const tenant = 'default';

describe('DELETE /v1/batches/{id}', () => {
  it('refuses a batch that is not final, deletes one that is, and does not know it afterwards', async () => {
    const api = buildTestApi();
    const inputId = await uploadBatchFile(api, [batchLine('a')]);
    const body = { input_file_id: inputId, endpoint: '/v1/chat/completions', completion_window: '24h' };
    const { id } = (await api.app.inject({ method: 'POST', url: '/v1/batches', payload: body })).json();
    const url = `/v1/batches/${id}`;
    const early = await api.app.inject({ method: 'DELETE', url });
    expect(early.statusCode).toBe(400);
    expect(early.json().error).toMatchObject({ code: 'invalid_state', ext: { code: 'input.state' } });
    await api.batches.updateBatch(tenant, id, (record) => ({ ...record, status: 'cancelled', cancelled_at: 1 }));
    const deleted = await api.app.inject({ method: 'DELETE', url });
    expect([deleted.statusCode, deleted.json()]).toEqual([200, { id, object: 'batch', deleted: true }]);
    for (const method of ['GET', 'DELETE'] as const) {
      expect((await api.app.inject({ method, url })).statusCode).toBe(404);
    }
    const list = await api.app.inject({ method: 'GET', url: '/v1/batches' });
    expect(list.json().data).toEqual([]);
    await api.app.close();
  });

  it('refuses a receiver that the operator did not allow, naming the field', async () => {
    const api = buildTestApi();
    const inputId = await uploadBatchFile(api, [batchLine('a')]);
    const metadata = { webhook_url: 'http://169.254.169.254/latest' };
    const body = { input_file_id: inputId, endpoint: '/v1/chat/completions', completion_window: '24h', metadata };
    const answer = await api.app.inject({ method: 'POST', url: '/v1/batches', payload: body });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error).toMatchObject({ param: 'metadata.webhook_url' });
    await api.app.close();
  });
});
