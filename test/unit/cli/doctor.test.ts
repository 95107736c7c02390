import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkApi } from '../../../src/cli/doctor/check-api.ts';
import { checkModel, checkNode } from '../../../src/cli/doctor/check-program.ts';
import { checkDataDir, checkStore } from '../../../src/cli/doctor/check-services.ts';
import { probeStore } from '../../../src/cli/doctor/probe-store.ts';
import { runCli } from '../../../src/cli/program.ts';
import { MemoryObjectStore } from '../../../src/storage/index.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';
import { errorBody, type FakeAnswer, openFakeApi } from './fake-api.ts';
import { openFakeIo } from './fake-io.ts';

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

describe('checkNode', () => {
  it.each([
    ['20.20.2', 'ok'],
    ['20.19.0', 'ok'],
    ['22.1.0', 'ok'],
    ['20.18.3', 'fail'],
    ['18.20.0', 'fail'],
  ])('finds %s %s', (version, state) => {
    expect(checkNode(version, '20.19').state).toBe(state);
  });
});

describe('probeStore', () => {
  it('leaves an honest store as it was', async () => {
    const store = new MemoryObjectStore();
    await probeStore(store);
    expect((await store.list('')).objects).toEqual([]);
  });

  it('finds a store that ignores If-None-Match', async () => {
    class Twice extends MemoryObjectStore {
      override async create(key: string, body: Uint8Array) {
        return { created: true as const, ...(await this.put(key, body)) };
      }
    }
    const store = new Twice();
    await expect(probeStore(store)).rejects.toThrow('the store ignores If-None-Match');
    expect((await store.list('')).objects).toEqual([]);
  });

  it('finds a store that ignores If-Match', async () => {
    class Careless extends MemoryObjectStore {
      override async swap(key: string, body: Uint8Array) {
        return { swapped: true as const, ...(await this.put(key, body)) };
      }
    }
    await expect(probeStore(new Careless())).rejects.toThrow('the store ignores If-Match');
  });
});

describe('checkApi', () => {
  const look = async (routes: Record<string, () => FakeAnswer>, isNamed = true) => {
    const api = await openFakeApi(routes);
    cleanups.push(() => api.close());
    return checkApi({ url: api.url, key: null }, isNamed);
  };
  const models = { 'GET /v1/models': () => ({ body: { object: 'list', data: [] } }) };

  it('finds a quire that is ready', async () => {
    expect((await look({ 'GET /readyz': () => ({ body: { status: 'ready' } }), ...models })).state).toBe('ok');
  });

  it('says what a quire is missing', async () => {
    const body = errorBody('transient.queue-unreachable', 'not ready: no answer from redis');
    const check = await look({ 'GET /readyz': () => ({ status: 503, body }) });
    expect(check).toMatchObject({ state: 'fail', found: expect.stringContaining('no answer from redis') });
  });

  it('tells a wrong key', async () => {
    const refused = { 'GET /v1/models': () => ({ status: 401, body: errorBody('input.unauthorized', 'unknown') }) };
    const check = await look({ 'GET /readyz': () => ({ body: { status: 'ready' } }), ...refused });
    expect(check).toMatchObject({ state: 'fail', todo: expect.stringContaining('QUIRE_API_KEY') });
  });

  it('tells other programs from quire', async () => {
    const check = await look({ 'GET /readyz': () => ({ body: '<html>hello</html>' }) });
    expect(check).toMatchObject({ state: 'fail', found: expect.stringContaining('is no quire') });
  });

  it('finds a free port free, unless a server was to be there', async () => {
    const api = await openFakeApi({});
    await api.close();
    expect((await checkApi({ url: api.url, key: null }, false)).state).toBe('ok');
    expect(await checkApi({ url: api.url, key: null }, true)).toMatchObject({
      state: 'fail',
      todo: expect.stringContaining('quire up'),
    });
  });

  it('finds a port that is held by something silent', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    cleanups.push(() => new Promise((resolve) => server.close(resolve)));
    const { port } = server.address() as { port: number };
    expect(await checkApi({ url: `http://127.0.0.1:${port}`, key: null }, false)).toMatchObject({
      state: 'fail',
      found: expect.stringContaining(`port ${port} is taken`),
    });
  });
});

describe('the other checks', () => {
  it('say what is wrong with a model folder', async () => {
    const folder = await openTemporaryFolder('doctor');
    cleanups.push(() => folder.remove());
    expect(await checkModel(folder.path)).toMatchObject({
      state: 'fail',
      found: expect.stringContaining('no config.json'),
    });
  });

  it('leave no trace in a folder that is no data folder', async () => {
    const folder = await openTemporaryFolder('doctor');
    cleanups.push(() => folder.remove());
    expect((await checkDataDir(folder.path)).state).not.toBe('fail');
    expect((await checkStore(folder.path, {}, false)).state).toBe('ok');
    const { readdir } = await import('node:fs/promises');
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('show a wrong setting as a finding', async () => {
    const io = openFakeIo({ QUIRE_THREADS: '99' });
    expect(await runCli(['doctor', '--json'], io)).toBe(1);
    const report = JSON.parse(io.stdout.text) as { ok: boolean; checks: { name: string; found: string }[] };
    expect(report.ok).toBe(false);
    expect(report.checks.find(({ name }) => name === 'settings')?.found).toMatch(/QUIRE_THREADS must be an integer/);
  });
});
