import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type EventsServer, openEventsServer } from '../../src/intake/index.ts';
import { RecordingLogger } from '../support/recording-logger.ts';

const token = 'test-token';
const event = JSON.stringify({ Records: [{ s3: { object: { key: 'inbox/a+b/x.md' } } }] });
const heard: string[] = [];
let server: EventsServer;

beforeAll(async () => {
  server = await openEventsServer({
    port: 0,
    token,
    onKeys: (keys) => heard.push(...keys),
    log: new RecordingLogger(),
  });
});

afterAll(async () => {
  await server.close();
});

const post = (body: string, options: RequestInit = {}, url = server.url): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body, ...options });

describe('the door for events', () => {
  it('takes an event from whoever knows the token', async () => {
    const answer = await post(event);
    expect(answer.status).toBe(204);
    expect(heard.splice(0)).toEqual(['inbox/a b/x.md']);
  });

  it('refuses others, other paths and methods, and what is no event, saying why', async () => {
    const met = await Promise.all([
      post(event, { headers: {} }),
      post(event, { headers: { authorization: 'Bearer other' } }),
      post(event, {}, `${new URL(server.url).origin}/other`),
      post('not json'),
      post('{}'),
      post(' '.repeat(2 << 20)),
      fetch(server.url, { headers: { authorization: `Bearer ${token}` } }),
    ]);
    expect(met.map(({ status }) => status)).toEqual([401, 401, 404, 400, 400, 413, 405]);
    expect(await met[4]?.text()).toBe('not an event of a bucket: it has neither Records nor the source aws.s3');
    expect(heard).toEqual([]);
  });

  it('says which port is taken', async () => {
    const { port } = new URL(server.url);
    const options = { port: Number(port), token, onKeys: () => {}, log: new RecordingLogger() };
    await expect(openEventsServer(options)).rejects.toMatchObject({
      code: 'input.port-taken',
      message: `port ${port} of 127.0.0.1 is taken by another program`,
    });
  });
});
