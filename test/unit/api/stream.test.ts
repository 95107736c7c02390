import { type AddressInfo, connect } from 'node:net';
import { describe, expect, it, vi } from 'vitest';
import type { ApiOptions } from '../../../src/api/index.ts';
import { AppError } from '../../../src/base/errors.ts';
import { answerOneLine, buildTestApi, modelCard, type TestApi } from '../../support/build-api.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { joinChunks, lineDelta, readEvents, waitingBatch } from '../../support/line-news.ts';

const ask = { model: modelCard.id, messages: [{ role: 'user', content: 'hello' }], stream: true };

const stream = ({ app }: TestApi, more: object = {}) =>
  app.inject({ method: 'POST', url: '/v1/chat/completions', payload: { ...ask, ...more } });

const choice = (index: number, message: object, more: object = {}) => ({
  index,
  logprobs: null,
  finish_reason: 'stop',
  message: { role: 'assistant', content: '', refusal: null, reasoning_content: '', reasoning: '', ...message },
  ...more,
});

const completion = (...choices: readonly object[]) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: modelCard.id,
  choices,
  usage: {
    prompt_tokens: 5,
    completion_tokens: 4,
    total_tokens: 9,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 1 },
  },
  system_fingerprint: 'abc',
  ext: { attempts: 1, notice: 'weights are random' },
});

const hi = completion(choice(0, { content: 'Hi there', reasoning_content: 'Hm.', reasoning: 'Hm.' }));

const text = (at: number, piece: string) => ({ at, text: piece });

/** Lets everything that is ready run. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
};

describe('a streamed chat completion', () => {
  it('is chunks of one answer: role, reasoning, content, end, [DONE]', async () => {
    const api = buildTestApi();
    const answer = stream(api);
    const batch = await waitingBatch(api);
    await api.bus.publish(lineDelta(batch.id, 1, { reasoning: text(0, 'Hm.') }));
    await settle();
    await api.bus.publish(lineDelta(batch.id, 2, { reasoning: text(3, ''), content: text(0, 'Hi') }));
    await settle();
    await answerOneLine(api, batch, 200, hi);
    const { statusCode, headers, body } = await answer;
    expect(statusCode).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-request-id': expect.stringMatching(/^req_/),
    });
    const events = readEvents(body);
    expect(events.at(-1)).toBeNull();
    const chunks = events.slice(0, -1);
    expect(chunks.map((chunk) => chunk?.choices)).toEqual([
      [{ index: 0, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { reasoning_content: 'Hm.', reasoning: 'Hm.' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: 'Hi' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: { content: ' there' }, logprobs: null, finish_reason: null }],
      [{ index: 0, delta: {}, logprobs: null, finish_reason: 'stop' }],
    ]);
    const frames = new Set(
      chunks.map((chunk) => JSON.stringify([chunk?.id, chunk?.object, chunk?.created, chunk?.model])),
    );
    expect(frames.size).toBe(1);
    expect(chunks[0]).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-[0-9a-f]{24}$/),
      object: 'chat.completion.chunk',
      model: modelCard.id,
      system_fingerprint: modelCard.digest.slice(0, 16),
    });
    expect(chunks[0]).not.toHaveProperty('usage');
    expect(chunks.at(-1)?.ext).toEqual({ attempts: 1, notice: 'weights are random' });
  });

  it('ends with usage when asked to, and says null before', async () => {
    const api = buildTestApi();
    const answer = stream(api, { stream_options: { include_usage: true } });
    await answerOneLine(api, await waitingBatch(api), 200, hi);
    const chunks = readEvents((await answer).body).slice(0, -1);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 5, completion_tokens: 4 } });
    expect(chunks.slice(0, -1).map((chunk) => chunk?.usage)).toEqual(chunks.slice(0, -1).map(() => null));
  });

  it('is whole without any news, and with news that are lost, doubled or of others', async () => {
    for (const news of [
      [],
      [lineDelta('batch_of_another', 1, { content: text(0, 'other') })],
      [lineDelta('', 2, { content: text(3, 'there') })],
      [1, 1, 2].map((tokens) => lineDelta('', tokens, { content: text(0, 'Hi'.slice(0, tokens)) })),
      [lineDelta('', 1, { choice: 7, content: text(0, 'Hi') })],
    ]) {
      const api = buildTestApi();
      const answer = stream(api);
      const batch = await waitingBatch(api);
      for (const event of news) {
        await api.bus.publish({ ...event, batchId: event.batchId === '' ? batch.id : event.batchId });
        await settle();
      }
      await answerOneLine(api, batch, 200, hi);
      expect(joinChunks(readEvents((await answer).body))).toEqual({ reasoning: 'Hm.', content: 'Hi there' });
    }
  });

  it('streams tool calls, and log-probabilities beside the content', async () => {
    const api = buildTestApi();
    const answer = stream(api, { logprobs: true, tools: [{ type: 'function', function: { name: 'look' } }] });
    const batch = await waitingBatch(api);
    const [one, two] = [{ token: 'So' }, { token: ':' }];
    const call = { index: 0, id: 'functions.look:0', name: 'look', arguments: text(0, '{"page"') };
    await api.bus.publish(
      lineDelta(batch.id, 9, { content: text(0, 'So'), logprobs: { at: 0, tokens: [one] }, toolCalls: [call] }),
    );
    await settle();
    const tool_calls = [
      { id: 'functions.look:0', type: 'function', function: { name: 'look', arguments: '{"page":3}' } },
    ];
    const body = completion(
      choice(0, { content: 'So:', tool_calls }, { finish_reason: 'tool_calls', logprobs: { content: [one, two] } }),
    );
    await answerOneLine(api, batch, 200, body);
    const chunks = readEvents((await answer).body).slice(0, -1);
    expect(chunks.flatMap((chunk) => chunk?.choices.map(({ delta, logprobs }) => [delta, logprobs]))).toEqual([
      [{ role: 'assistant', content: '' }, null],
      [{ content: 'So' }, { content: [one], refusal: null }],
      [
        {
          tool_calls: [
            { index: 0, id: 'functions.look:0', type: 'function', function: { name: 'look', arguments: '' } },
          ],
        },
        null,
      ],
      [{ tool_calls: [{ index: 0, function: { arguments: '{"page"' } }] }, null],
      [{ content: ':' }, { content: [two], refusal: null }],
      [{ tool_calls: [{ index: 0, function: { arguments: ':3}' } }] }, null],
      [{}, null],
    ]);
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('streams several choices side by side', async () => {
    const api = buildTestApi();
    const answer = stream(api, { n: 2 });
    const batch = await waitingBatch(api);
    await api.bus.publish(lineDelta(batch.id, 1, { choice: 1, content: text(0, 'se') }));
    await settle();
    await api.bus.publish(lineDelta(batch.id, 1, { choice: 0, content: text(0, 'fir') }));
    await settle();
    await answerOneLine(
      api,
      batch,
      200,
      completion(choice(0, { content: 'first' }), choice(1, { content: 'second' }, { finish_reason: 'length' })),
    );
    const events = readEvents((await answer).body);
    expect([0, 1].map((index) => joinChunks(events, index).content)).toEqual(['first', 'second']);
    const ends = events.flatMap((chunk) => chunk?.choices ?? []).filter(({ finish_reason: reason }) => reason !== null);
    expect(ends.map(({ index, finish_reason: reason }) => [index, reason])).toEqual([
      [0, 'stop'],
      [1, 'length'],
    ]);
  });

  it('does not look into the store for every piece of news', async () => {
    const clock = new HandClock();
    const api = buildTestApi({}, clock);
    const answer = stream(api);
    const batch = await waitingBatch(api);
    await settle();
    const get = vi.spyOn(api.store, 'get');
    for (let tokens = 1; tokens <= 50; tokens++) {
      await api.bus.publish(lineDelta(batch.id, tokens, { content: text(0, 'Hi there'.slice(0, tokens)) }));
      await settle();
    }
    expect(get).not.toHaveBeenCalled();
    await answerOneLine(api, batch, 200, hi);
    await answer;
  });
});

describe('an error of a streamed completion', () => {
  const error = {
    message: 'too long',
    type: 'invalid_request_error',
    param: 'messages',
    code: 'context_length_exceeded',
  };

  it('is an ordinary answer while nothing is sent', async () => {
    const api = buildTestApi();
    const answer = stream(api);
    await answerOneLine(api, await waitingBatch(api), 400, { error });
    expect((await answer).statusCode).toBe(400);
    expect((await answer).headers['content-type']).toContain('application/json');
    expect((await answer).json().error).toMatchObject(error);
  });

  it('is the last event once something is sent', async () => {
    const api = buildTestApi();
    const answer = stream(api);
    const batch = await waitingBatch(api);
    await api.bus.publish(lineDelta(batch.id, 1, { content: text(0, 'Hi') }));
    await settle();
    await answerOneLine(api, batch, 400, { error });
    expect((await answer).statusCode).toBe(200);
    const events = readEvents((await answer).body);
    expect(events.at(-1)?.error).toMatchObject(error);
  });

  it('says so when the stored answer is another one than was begun', async () => {
    const api = buildTestApi();
    const answer = stream(api);
    const batch = await waitingBatch(api);
    await api.bus.publish(lineDelta(batch.id, 1, { content: text(0, 'Ho') }));
    await settle();
    await answerOneLine(api, batch, 200, hi);
    expect(readEvents((await answer).body).at(-1)?.error).toMatchObject({
      code: 'stream_diverged',
      message: expect.stringContaining('differs from what was sent'),
    });
    // the answer stands: nothing is cancelled
    expect(api.bus.events.map(({ type }) => type)).not.toContain('batch-cancel');
  });

  it('tells when the server closes, and cancels the line', async () => {
    const api = buildTestApi();
    const answer = stream(api);
    const { id } = await waitingBatch(api);
    await api.bus.publish(lineDelta(id, 1, { content: text(0, 'Hi') }));
    await settle();
    await api.app.close();
    expect(readEvents((await answer).body).at(-1)?.error).toMatchObject({ code: 'shutting_down' });
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
    expect(api.bus.listenerTotal).toBe(0);
  });

  it('is 503 and a cancelled line when redis goes away before the janitor is told', async () => {
    const api = buildTestApi();
    await api.app.ready();
    const before = api.bus.listenerTotal;
    api.queue.addControl = () => Promise.reject(new AppError('transient.queue-unreachable', 'redis is away'));
    expect((await stream(api)).statusCode).toBe(503);
    const { objects } = await api.store.list('v1/open/');
    const id = objects[0]?.key.slice('v1/open/'.length) ?? '';
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
    expect(api.bus.listenerTotal).toBe(before);
  });

  it('logs what was not the caller’s fault', async () => {
    const api = buildTestApi();
    const answer = stream(api);
    const batch = await waitingBatch(api);
    await api.bus.publish(lineDelta(batch.id, 1, { content: text(0, 'Hi') }));
    await settle();
    await answerOneLine(api, batch, 200, completion());
    expect(readEvents((await answer).body).at(-1)?.error).toMatchObject({ code: 'corrupt_record' });
    expect(api.log.lines.map(({ message }) => message)).toContain('stream failed');
  });
});

describe('the silence of a streamed completion', () => {
  const setUp = (options: Partial<ApiOptions> = {}) => {
    const clock = new HandClock();
    return { clock, api: buildTestApi({ syncPollMs: 1_000_000, ...options }, clock) };
  };

  it('is broken by comments, which clients skip', async () => {
    const { clock, api } = setUp();
    const answer = stream(api);
    const batch = await waitingBatch(api);
    for (let beat = 0; beat < 3; beat++) {
      await vi.waitFor(() => expect(clock.sleepingUpTo(10_000)).toBeGreaterThan(0));
      clock.advance(10_000);
      await settle();
    }
    await answerOneLine(api, batch, 200, hi);
    const { body } = await answer;
    expect(body.match(/^: waiting$/gm)).toHaveLength(3);
    expect(joinChunks(readEvents(body)).content).toBe('Hi there');
  });

  it('ends it after the time limit, as an ordinary error when nothing is sent', async () => {
    const { clock, api } = setUp({ syncTimeoutMs: 8_000 });
    const answer = stream(api);
    const { id } = await waitingBatch(api);
    await vi.waitFor(() => expect(clock.sleepingUpTo(8_000)).toBeGreaterThan(0));
    clock.advance(8_000);
    expect((await answer).statusCode).toBe(503);
    expect((await answer).headers['x-should-retry']).toBe('false');
    expect((await answer).json().error).toMatchObject({ code: 'timeout', message: expect.stringContaining('8 s') });
    expect(await api.batches.getBatch('default', id)).toMatchObject({ status: 'cancelling' });
  });

  it('is counted from the last news: an answer may take longer than the limit', async () => {
    const { clock, api } = setUp({ syncTimeoutMs: 15_000 });
    const answer = stream(api);
    const batch = await waitingBatch(api);
    for (let tokens = 1; tokens <= 4; tokens++) {
      await settle();
      clock.advance(9_000);
      await api.bus.publish(lineDelta(batch.id, tokens, { content: text(0, 'Hi there'.slice(0, tokens)) }));
    }
    await settle();
    await answerOneLine(api, batch, 200, hi);
    expect(joinChunks(readEvents((await answer).body)).content).toBe('Hi there');
  });
});

describe('the reader of a streamed completion', () => {
  async function open(api: TestApi) {
    await api.app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = api.app.server.address() as AddressInfo;
    const socket = connect(port, '127.0.0.1');
    const payload = JSON.stringify(ask);
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${payload.length}\r\n\r\n${payload}`,
    );
    return { socket, batch: await waitingBatch(api) };
  }

  it('cancels the line by leaving, before and after the first word', async () => {
    for (const words of [0, 1]) {
      const api = buildTestApi();
      await api.app.ready();
      const before = api.bus.listenerTotal;
      const { socket, batch } = await open(api);
      if (words > 0) {
        const heard = new Promise((resolve) => socket.once('data', resolve));
        await api.bus.publish(lineDelta(batch.id, 1, { content: text(0, 'Hi') }));
        await heard;
      }
      socket.destroy();
      await vi.waitFor(async () =>
        expect(await api.batches.getBatch('default', batch.id)).toMatchObject({ status: 'cancelling' }),
      );
      await vi.waitFor(() => expect(api.bus.listenerTotal).toBe(before));
      expect(api.bus.events).toContainEqual({ type: 'batch-cancel', batchId: batch.id });
      await api.app.close();
    }
  });

  it('gets everything even when it does not read for a while', async () => {
    const api = buildTestApi();
    const { socket, batch } = await open(api);
    socket.pause();
    // more than sockets and the stream hold between them
    const piece = 'word '.repeat(2_000);
    const total = 400;
    for (let index = 0; index < total; index++) {
      await api.bus.publish(lineDelta(batch.id, index + 1, { content: text(index * piece.length, piece) }));
      if (index % 50 === 0) await settle();
    }
    const whole = piece.repeat(total);
    await answerOneLine(api, batch, 200, completion(choice(0, { content: whole })));
    const received = await new Promise<string>((resolve) => {
      const chunks: Buffer[] = [];
      socket.on('data', (chunk) => {
        chunks.push(chunk);
        const tail = Buffer.concat(chunks.slice(-2)).subarray(-7).toString();
        if (tail === '\r\n0\r\n\r\n') resolve(Buffer.concat(chunks).toString());
      });
      socket.resume();
    });
    socket.destroy();
    await api.app.close();
    const unchunked = received.slice(received.indexOf('\r\n\r\n') + 4).replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, '');
    const events = readEvents(unchunked);
    // text that waited was joined
    expect(events.length).toBeLessThan(total);
    expect(joinChunks(events).content === whole).toBe(true);
  });
});
