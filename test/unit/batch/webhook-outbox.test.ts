import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI from 'openai';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { silentLogger } from '../../../src/base/log.ts';
import { buildWebhookSender, type SendWebhook, type WebhookCall } from '../../../src/batch/webhook/send-webhook.ts';
import { parseWebhookSecret, signWebhook } from '../../../src/batch/webhook/webhook-event.ts';
import { WebhookOutbox, webhookGapsMs } from '../../../src/batch/webhook/webhook-outbox.ts';
import { checkWebhookUrl, isPublicAddress, mayConnect } from '../../../src/batch/webhook/webhook-policy.ts';
import { decodeWebhookRecord } from '../../../src/batch/webhook/webhook-record.ts';
import { keys, prefixes } from '../../../src/storage/index.ts';
import { chatLine, resultOf, tenant, World } from './batch-world.ts';

const secret = `whsec_${Buffer.from('0123456789abcdef0123456789abcdef').toString('base64')}`;
const policy = { url: 'https://hooks.example.com/quire', allow: [] };
const never = new AbortController().signal;

let world: World;
let calls: WebhookCall[];
let answer: () => number;
beforeEach(() => {
  world = new World();
  calls = [];
  answer = () => 204;
});

const send: SendWebhook = async (call) => {
  calls.push(call);
  return answer();
};
const outbox = (more: { send?: SendWebhook } = {}): WebhookOutbox =>
  new WebhookOutbox({
    store: world.store,
    clock: world.clock,
    log: silentLogger,
    policy,
    secret: parseWebhookSecret(secret),
    send,
    ...more,
  });

async function endBatch(webhooks = outbox(), metadata: Record<string, string> | null = null): Promise<string> {
  const { id } = await world.createBatch([chatLine('a')], { metadata });
  const janitor = world.newJanitor({ webhooks });
  await janitor.handle(tenant, id);
  await world.runUnit(id, 'u000000', [resultOf(0, 'a')]);
  await janitor.handle(tenant, id);
  expect((await world.get(id)).status).toBe('completed');
  return id;
}

const readState = async (id: string) => {
  const key = keys.webhook(tenant, id);
  const object = await world.store.get(key);
  return object === undefined ? undefined : decodeWebhookRecord(object.body, key);
};
const pending = async (): Promise<number> => (await world.store.list(prefixes.webhooks)).objects.length;

describe('WebhookOutbox', () => {
  it('tells the end of a batch once, in a form that the stock client verifies', async () => {
    const webhooks = outbox();
    const id = await endBatch(webhooks);
    await webhooks.deliverDue(never);
    await webhooks.deliverDue(never);
    expect(calls).toHaveLength(1);
    const [{ body, headers, url }] = calls as [WebhookCall];
    expect(url).toBe(policy.url);
    const client = new OpenAI({ apiKey: 'x', webhookSecret: secret });
    // the client looks at its own clock
    const event = await client.webhooks.unwrap(body, headers, undefined, 10 ** 10);
    expect(event).toMatchObject({ object: 'event', type: 'batch.completed', data: { id } });
    expect(event.id).toBe(headers['webhook-id']);
    expect(event.created_at).toBe((await world.get(id)).completed_at);
    const tampered = client.webhooks.unwrap(body.replace('completed', 'failed'), headers, undefined, 10 ** 10);
    await expect(tampered).rejects.toThrow(/signature/);
    expect(await readState(id)).toMatchObject({ state: 'delivered', tries: [{ status: 204 }] });
    expect(await pending()).toBe(0);
  });

  it('tries seven times with growing waits and the same id and body, then gives up', async () => {
    const webhooks = outbox();
    const id = await endBatch(webhooks);
    answer = () => 500;
    const triedAt: number[] = [];
    for (let look = 0; look < 40_000 && (await pending()) > 0; look++) {
      const before = calls.length;
      await webhooks.deliverDue(never);
      if (calls.length > before) triedAt.push(world.clock.nowMs());
      world.clock.advance(1_000);
    }
    expect(triedAt.slice(1).map((at, index) => at - (triedAt[index] ?? 0))).toEqual(webhookGapsMs);
    expect(calls).toHaveLength(7);
    expect(new Set(calls.map(({ headers, body }) => `${headers['webhook-id']} ${body}`)).size).toBe(1);
    expect(new Set(calls.map(({ headers }) => headers['webhook-timestamp'])).size).toBe(7);
    expect((await readState(id))?.state).toBe('given-up');
  });

  it('goes on where a process died in a try, and says why the others failed', async () => {
    const id = await endBatch();
    const dying = outbox({ send: () => new Promise(() => {}) });
    void dying.deliverDue(never);
    await new Promise((resolve) => setImmediate(resolve));
    const next = outbox();
    await next.deliverDue(never);
    // the try that never ended keeps its wait
    expect(calls).toHaveLength(0);
    world.clock.advance(5_000);
    answer = () => {
      throw new AppError('transient.timeout', 'no answer');
    };
    await outbox().deliverDue(never);
    world.clock.advance(30_000);
    answer = () => 200;
    await outbox().deliverDue(never);
    expect((await readState(id))?.tries).toMatchObject([
      { status: null, error: null },
      { status: null, error: 'no answer' },
      { status: 200, error: null },
    ]);
  });

  it('makes one event of ends that are seen twice, by two janitors, and of crashes before the marker goes', async () => {
    const webhooks = outbox();
    const id = await endBatch(webhooks);
    await webhooks.deliverDue(never);
    await outbox().enqueue(await world.get(id));
    await outbox().deliverDue(never);
    expect(calls).toHaveLength(1);
    expect(await pending()).toBe(0);
  });

  it('forgets the event of a batch that was deleted, and makes none for single calls', async () => {
    const id = await endBatch();
    await world.batches.deleteBatch(tenant, id);
    await world.janitor.sweep();
    await outbox().deliverDue(never);
    expect(calls).toHaveLength(0);
    const single = await world.createBatch([chatLine('a')], { priority: 'interactive' });
    await world.batches.cancelBatch(tenant, single.id);
    await world.newJanitor({ webhooks: outbox() }).handle(tenant, single.id);
    expect(await pending()).toBe(0);
  });
});

describe('webhook addresses', () => {
  it.each([
    ['http://10.0.0.1/', []],
    ['https://evil.example.org/', ['example.com', '*.example.com']],
    ['https://example.com.evil.org/', ['example.com']],
    ['https://a.example.com:444/', ['a.example.com:443']],
    ['ftp://example.com/', ['*']],
    ['https://user:secret@example.com/', ['*']],
    ['nonsense', ['*']],
  ])('rejects %s with the list %j', (url, allow) => {
    expect(() => checkWebhookUrl(url, { url: null, allow })).toThrow(/webhook_url/);
  });

  it('refuses a batch whose receiver is not allowed, before anything is stored', async () => {
    const create = world.createBatch([chatLine('a')], { metadata: { webhook_url: 'http://127.0.0.1:1/' } });
    await expect(create).rejects.toMatchObject({ code: 'input.invalid-request', param: 'metadata.webhook_url' });
  });

  it('connects to private addresses only where the host itself is named', () => {
    const at = (url: string, address: string, allow: string[]) =>
      mayConnect(new URL(url), address, { url: null, allow });
    expect(at('https://a.example.com/', '93.184.216.34', ['*.example.com'])).toBe(true);
    expect(at('https://a.example.com/', '127.0.0.1', ['*.example.com'])).toBe(false);
    expect(at('https://a.example.com/', '127.0.0.1', ['*'])).toBe(false);
    expect(at('https://a.example.com/', '10.1.2.3', ['*', 'a.example.com'])).toBe(true);
    expect(at('http://127.0.0.1:9000/', '127.0.0.1', ['127.0.0.1:9000'])).toBe(true);
    expect(at('http://2130706433/', '127.0.0.1', ['*'])).toBe(false);
  });

  it.each([
    '0.0.0.0',
    '10.0.0.1',
    '100.64.0.1',
    '127.0.0.1',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.1.1',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::ffff:127.0.0.1',
    '::ffff:93.184.216.34',
    'fc00::1',
    'fe80::1',
    'ff02::1',
    '2001:db8::1',
    '2002:7f00:1::',
    '64:ff9b::7f00:1',
    'example.com',
    '',
  ])('takes %s for no address of the internet', (address) => {
    expect(isPublicAddress(address)).toBe(false);
  });

  it.each(['93.184.216.34', '172.32.0.1', '2606:2800:220:1::1'])('takes %s for one', (address) => {
    expect(isPublicAddress(address)).toBe(true);
  });

  it.each(['', 'whsec_', 'whsec_c2hvcnQ=', secret.slice(6), 'whsec_not base64 at all, not base64 at all'])(
    'rejects the secret %j',
    (text) => {
      expect(() => parseWebhookSecret(text)).toThrow(expect.objectContaining({ code: 'input.config' }));
    },
  );
});

describe('buildWebhookSender', () => {
  const received: { headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += String(chunk);
    });
    request.on('end', () => {
      received.push({ headers: request.headers, body });
      if (request.url === '/moved') response.writeHead(302, { location: '/elsewhere' });
      response.end('x'.repeat(1_000_000));
    });
  });
  beforeEach(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  afterEach(() => new Promise<void>((resolve) => server.close(() => resolve())));
  const host = (): string => `127.0.0.1:${(server.address() as AddressInfo).port}`;

  it('sends to an allowed address, does not follow redirects, and refuses the same address otherwise', async () => {
    const body = '{"id":"evt_1"}';
    const headers = signWebhook(parseWebhookSecret(secret), {
      id: 'evt_1',
      body,
      atSeconds: Math.floor(Date.now() / 1000),
    });
    const allowed = buildWebhookSender({ url: null, allow: [host()] });
    expect(await allowed({ url: `http://${host()}/`, headers, body }, never)).toBe(200);
    expect(await allowed({ url: `http://${host()}/moved`, headers, body }, never)).toBe(302);
    expect(received).toHaveLength(2);
    const [first] = received;
    const client = new OpenAI({ apiKey: 'x', webhookSecret: secret });
    await client.webhooks.unwrap(first?.body ?? '', first?.headers as Record<string, string>);
    const refused = buildWebhookSender({ url: null, allow: ['*'] });
    await expect(refused({ url: `http://${host()}/`, headers, body }, never)).rejects.toMatchObject({
      code: 'input.config',
    });
    const named = `http://localhost:${host().split(':')[1]}/`;
    await expect(refused({ url: named, headers, body }, never)).rejects.toMatchObject({ code: 'input.config' });
    expect(received).toHaveLength(2);
  });
});
