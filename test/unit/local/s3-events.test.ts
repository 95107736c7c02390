import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/log.ts';
import type { ObjectCreatedEvent } from '../../../src/local/s3/index.ts';
import { buildEventPoster } from '../../../src/local/s3-events.ts';

const seen: { authorization: string | undefined; body: string }[] = [];
const server = createServer((request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += String(chunk);
  });
  request.on('end', () => {
    seen.push({ authorization: request.headers.authorization, body });
    response.writeHead(204).end();
  });
});
let url: string;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`;
});

afterAll(() => server.close());

const event = (key: string): ObjectCreatedEvent => ({
  name: 'ObjectCreated:Put',
  bucket: 'quire',
  key,
  bytes: 5,
  etag: 'e',
  atMs: 0,
  requestId: 'r',
});

describe('buildEventPoster', () => {
  it('posts new objects of the inbox as S3 would, with the token', async () => {
    await buildEventPoster({ url, token: 't' }, silentLogger)(event('inbox/a b/ö.md'));
    expect(seen.at(-1)?.authorization).toBe('Bearer t');
    const { Records } = JSON.parse(seen.at(-1)?.body ?? '');
    expect(Records[0].s3.object.key).toBe('inbox/a+b/%C3%B6.md');
  });

  it('says nothing of our own objects', async () => {
    const before = seen.length;
    await buildEventPoster({ url, token: 't' }, silentLogger)(event('v1/default/x'));
    expect(seen.length).toBe(before);
  });

  it('never throws when nobody listens', async () => {
    const poster = buildEventPoster({ url: 'http://127.0.0.1:1/events', token: 't' }, silentLogger);
    await expect(poster(event('inbox/a/b.md'))).resolves.toBeUndefined();
  });
});
