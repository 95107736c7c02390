import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI, { toFile } from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { ApiOptions } from '../../src/api/index.ts';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { silentLogger } from '../../src/base/log.ts';
import { Janitor, type JobLineTask, parseLineRequest, runUnitJob, type UnitLineAnswer } from '../../src/batch/index.ts';
import { type Embed, type Generate, LineRunner, type LineRunnerDeps } from '../../src/pipeline/index.ts';
import { buildDeltaPublisher } from '../../workers/compose/publish-deltas.ts';
import { batchLine, buildTestApi, modelCard, type TestApi } from '../support/build-api.ts';
import { CuttingProxy } from '../support/cutting-proxy.ts';
import { generateResult } from '../support/generate-result.ts';

interface Listening extends TestApi {
  readonly client: OpenAI;
  readonly port: number;
}

let folder = '';
const cleanups: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quire-openai-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => rm(folder, { recursive: true }));

async function listen(options: Partial<ApiOptions> = {}): Promise<Listening> {
  const api = buildTestApi(options);
  await api.app.listen({ host: '127.0.0.1', port: 0 });
  cleanups.push(() => api.app.close());
  const { port } = api.app.server.address() as AddressInfo;
  const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'any', maxRetries: 0 });
  return { ...api, client, port };
}

/** What janitor and worker do, with a worker that echoes unless told otherwise: the API's own part stays real. */
async function runBatches({ store, batches, queue, bus }: TestApi, runLine: RunLine = echo): Promise<void> {
  const limits = { maxLines: 100, maxLineBytes: 1 << 20 };
  const janitor = new Janitor({ store, batches, queue, bus, clock: systemClock, log: silentLogger, limits });
  await janitor.sweep();
  for (const { job } of queue.units.splice(0)) {
    const deps = { store, batches, owner: 'echo', lineConcurrency: 4, onSegment: () => {}, logger: silentLogger };
    const engine = {
      askCheckpoints: async () => {},
      onCheckpointLost: () => {},
      readHeard: async () => new Map<string, number>(),
    };
    await runUnitJob(
      {
        ...deps,
        ...engine,
        clock: systemClock,
        runLine,
      },
      job,
      new AbortController().signal,
    );
    await bus.publish({ type: 'unit-end', batchId: job.batchId, unitId: job.unitId });
  }
  await janitor.sweep();
}

type RunLine = (task: JobLineTask) => Promise<UnitLineAnswer>;

const echo: RunLine = async ({ line }) => ({ statusCode: 200, body: chatCompletion(echoOf(line.body)) });

const echoOf = (body: Readonly<Record<string, unknown>>): string =>
  (body['messages'] as readonly { content: string }[])[0]?.content ?? '';

const chatCompletion = (content: string) => ({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1,
  model: modelCard.id,
  choices: [
    {
      index: 0,
      logprobs: null,
      finish_reason: 'stop',
      message: { role: 'assistant', content, refusal: null, reasoning_content: 'thought', reasoning: 'thought' },
    },
  ],
  usage: {
    prompt_tokens: 5,
    completion_tokens: 2,
    total_tokens: 7,
    prompt_tokens_details: { cached_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 1 },
  },
});

const upload = async ({ client }: Listening, lines: readonly string[], purpose: 'batch' | 'user_data' = 'batch') =>
  client.files.create({ file: await toFile(Buffer.from(`${lines.join('\n')}\n`), 'input.jsonl'), purpose });

const createBatch = (client: OpenAI, inputFileId: string) =>
  client.batches.create({ input_file_id: inputFileId, endpoint: '/v1/chat/completions', completion_window: '24h' });

describe('files, by the stock client', () => {
  it('uploads from a stream: chunked, the file before its purpose', async () => {
    const api = await listen();
    const bytes = randomBytes(3_000_000);
    const path = join(folder, 'document.bin');
    await writeFile(path, bytes);
    const file = await api.client.files.create({ file: createReadStream(path), purpose: 'user_data' });
    expect(file).toMatchObject({ object: 'file', bytes: bytes.length, filename: 'document.bin', purpose: 'user_data' });
    const content = await api.client.files.content(file.id);
    expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true);
    expect((await api.client.files.waitForProcessing(file.id)).status).toBe('processed');
  });

  it('uploads from a buffer, with a lifetime', async () => {
    const api = await listen();
    const file = await api.client.files.create({
      file: await toFile(Buffer.from('text'), 'läse.md'),
      purpose: 'user_data',
      expires_after: { anchor: 'created_at', seconds: 7_200 },
    });
    expect(file.filename).toBe('läse.md');
    expect((file.expires_at ?? 0) - file.created_at).toBe(7_200);
    expect(await (await api.client.files.content(file.id)).text()).toBe('text');
  });

  it('lists over pages, retrieves and deletes', async () => {
    const api = await listen();
    const ids = await Promise.all(Array.from({ length: 5 }, async () => (await upload(api, ['{}'])).id));
    const seen: string[] = [];
    for await (const file of api.client.files.list({ limit: 2 })) seen.push(file.id);
    expect(seen.toSorted()).toEqual(ids.toSorted());
    const [id = ''] = ids;
    expect((await api.client.files.retrieve(id)).id).toBe(id);
    expect(await api.client.files.delete(id)).toEqual({ id, object: 'file', deleted: true });
    await expect(api.client.files.retrieve(id)).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it('hears 413 for a stream over the limit, and nothing stays behind', async () => {
    const api = await listen({ maxFileBytes: 1_000_000 });
    const path = join(folder, 'large.bin');
    await writeFile(path, randomBytes(8_000_000));
    const error = await api.client.files.create({ file: createReadStream(path), purpose: 'user_data' }).then(
      () => null,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(OpenAI.APIError);
    expect(error).toMatchObject({ status: 413, code: 'file_too_large' });
    expect((await api.store.list('')).objects).toEqual([]);
  });

  it('keeps nothing of an upload whose connection ends in the middle', async () => {
    const api = await listen();
    const putStream = api.store.putStream.bind(api.store);
    let begin = (): void => {};
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    let stored: Promise<unknown> = Promise.resolve();
    api.store.putStream = (...args) => {
      begin();
      const result = putStream(...args);
      stored = result;
      return result;
    };
    const part = '--b\r\ncontent-disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhalf of';
    const headers = 'host: x\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: 9000';
    const socket = connect(api.port, '127.0.0.1');
    socket.write(`POST /v1/files HTTP/1.1\r\n${headers}\r\n\r\n${part}`);
    await begun;
    socket.destroy();
    await expect(stored).rejects.toThrow();
    expect((await api.store.list('')).objects).toEqual([]);
  });
});

describe('batches, by the stock client', () => {
  it('runs from upload to downloaded results', async () => {
    const api = await listen();
    const file = await upload(
      api,
      ['a', 'b', 'c'].map((id) => batchLine(id, `say ${id}`)),
    );
    const created = await createBatch(api.client, file.id);
    expect(created).toMatchObject({ object: 'batch', status: 'validating', input_file_id: file.id });
    await runBatches(api);
    const done = await api.client.batches.retrieve(created.id);
    expect(done).toMatchObject({
      status: 'completed',
      request_counts: { total: 3, completed: 3, failed: 0 },
      model: modelCard.id,
      usage: { input_tokens: 15, output_tokens: 6, total_tokens: 21 },
    });
    const content = await api.client.files.content(done.output_file_id ?? '');
    const lines = (await content.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map((line) => [line.custom_id, line.response.body.choices[0].message.content]).toSorted()).toEqual([
      ['a', 'say a'],
      ['b', 'say b'],
      ['c', 'say c'],
    ]);
    expect(await api.client.files.retrieve(done.output_file_id ?? '')).toMatchObject({ purpose: 'batch_output' });
  });

  it('lists bad lines of a failed batch by number', async () => {
    const api = await listen();
    const file = await upload(api, [batchLine('a'), 'not json', batchLine('a')]);
    const { id } = await createBatch(api.client, file.id);
    await runBatches(api);
    const failed = await api.client.batches.retrieve(id);
    expect(failed.status).toBe('failed');
    expect(failed.errors?.data?.map(({ code, line }) => [code, line])).toEqual([
      ['invalid_json_line', 2],
      ['duplicate_custom_id', 3],
    ]);
  });

  it('cancels, and keeps what was finished', async () => {
    const api = await listen();
    const { id } = await createBatch(api.client, (await upload(api, [batchLine('a')])).id);
    expect((await api.client.batches.cancel(id)).status).toBe('cancelling');
    await runBatches(api);
    const cancelled = await api.client.batches.retrieve(id);
    expect(cancelled).toMatchObject({ status: 'cancelled', cancelled_at: expect.any(Number) });
    await expect(api.client.batches.cancel(id)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
  });

  it('lists over pages, newest first', async () => {
    const api = await listen();
    const file = await upload(api, [batchLine('a')]);
    const ids: string[] = [];
    for (let index = 0; index < 5; index++) ids.push((await createBatch(api.client, file.id)).id);
    const seen: string[] = [];
    for await (const batch of api.client.batches.list({ limit: 2 })) seen.push(batch.id);
    expect(seen.toSorted()).toEqual(ids.toSorted());
  });

  it('creates one batch when the answer to the create is lost and the client repeats it', async () => {
    const api = await listen();
    const file = await upload(api, [batchLine('a')]);
    const proxy = await CuttingProxy.open(api.port, 'POST /v1/batches', 2);
    cleanups.push(() => proxy.close());
    const client = new OpenAI({ baseURL: `${proxy.url}/v1`, apiKey: 'any', maxRetries: 3 });
    const created = await createBatch(client, file.id);
    expect(proxy.cuts).toBe(2);
    const all = await api.client.batches.list();
    expect(all.data.map(({ id }) => id)).toEqual([created.id]);
    // another wish of the same kind is another batch
    const second = await createBatch(client, file.id);
    expect(second.id).not.toBe(created.id);
  });
});

describe('chat completions, by the stock client', () => {
  const ask = { model: modelCard.id, messages: [{ role: 'user' as const, content: 'echo me' }] };

  it('answers with content, reasoning and usage', async () => {
    const api = await listen();
    const answer = api.client.chat.completions.create(ask);
    await vi.waitFor(() => expect(api.queue.controls).toHaveLength(1));
    await runBatches(api);
    const { choices, usage } = await answer;
    expect(choices[0]?.message).toMatchObject({ content: 'echo me', reasoning_content: 'thought' });
    expect(usage?.prompt_tokens_details?.cached_tokens).toBe(0);
  });

  it('is cancelled when its caller goes away', async () => {
    const api = await listen();
    const gone = new AbortController();
    const answer = api.client.chat.completions.create(ask, { signal: gone.signal });
    await vi.waitFor(() => expect(api.queue.controls).toHaveLength(1));
    const id = api.queue.controls[0]?.batchId ?? '';
    gone.abort();
    await expect(answer).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    await vi.waitFor(async () => expect((await api.batches.getBatch('default', id)).status).toBe('cancelling'));
    expect(api.bus.events).toContainEqual({ type: 'batch-cancel', batchId: id });
  });

  it('is not repeated after its time limit', async () => {
    const api = await listen({ syncTimeoutMs: 50 });
    const error = await api.client.chat.completions.create(ask, { maxRetries: 2 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ status: 503, code: 'timeout' });
    expect(new Set(api.queue.controls.map(({ batchId }) => batchId)).size).toBe(1);
  });
});

/** A worker whose engine is scripted: requests, deltas, choices and results go the way they go in the product. */
function workerWith({ bus }: TestApi, engine: Pick<LineRunnerDeps, 'generate' | 'embed'>): RunLine {
  const runner = new LineRunner({
    ...engine,
    loadDocument: () => Promise.reject(new Error('no document is asked for here')),
    card: modelCard,
    clock: systemClock,
  });
  return ({ batch, line, seed, signal, journal }) =>
    runner.run({
      name: `${batch.id}/${line.index}`,
      tenant: batch.tenant,
      request: parseLineRequest(line.url, line.body, [modelCard.id], { streaming: batch.priority === 'interactive' }),
      seed,
      priority: 0,
      deadlineMs: null,
      signal,
      onProgress: () => {},
      journal,
      openDeltas: buildDeltaPublisher(bus, batch.id),
    });
}

const noEmbedding: Embed = () => Promise.reject(new Error('no embedding is asked for here'));
const noAnswer: Generate = () => Promise.reject(new Error('no answer is asked for here'));

/** Writes word by word; what comes is what stands in the end. */
const writer: Generate = async (request, { onDelta }) => {
  const words = [`choice of seed ${request.sampling.seed % 7}`, ' – in three', ' pieces €'];
  const bytesOf = (word: string): number[] => [...Buffer.from(word)];
  const logprobs = words.map((word, id) => {
    const chance = { id, bytes: bytesOf(word), logprob: -id };
    return { ...chance, top: Array.from({ length: request.logprobs ?? 0 }, () => chance) };
  });
  onDelta?.({ reasoning: 'Look.', content: '', toolCalls: [], logprobs: null, completionTokens: 1 });
  for (const [index, word] of words.entries()) {
    const own = request.logprobs === null ? null : logprobs.slice(index, index + 1);
    onDelta?.({ reasoning: '', content: word, toolCalls: [], logprobs: own, completionTokens: 2 + index });
    await new Promise((resolve) => setImmediate(resolve));
  }
  return generateResult({
    reasoning: 'Look.',
    content: words.join(''),
    logprobs: request.logprobs === null ? null : logprobs,
    completionTokens: 4,
    reasoningTokens: 1,
  });
};

const caller: Generate = async (_request, { onDelta }) => {
  const begin = { index: 0, id: 'functions.weather:0', name: 'weather', arguments: '' };
  const pieces = [
    begin,
    ...['{"city":', '"Paris"}'].map((text) => ({ index: 0, id: null, name: null, arguments: text })),
  ];
  for (const [index, piece] of pieces.entries()) {
    onDelta?.({ reasoning: '', content: '', toolCalls: [piece], logprobs: null, completionTokens: index + 1 });
    await new Promise((resolve) => setImmediate(resolve));
  }
  const toolCalls = [{ id: begin.id, name: begin.name, arguments: '{"city":"Paris"}' }];
  return generateResult({ reasoning: '', toolCalls, finishReason: 'tool_calls' });
};

/** Runs what waits, once it waits. */
async function serve(api: Listening, engine: Partial<Pick<LineRunnerDeps, 'generate' | 'embed'>>): Promise<void> {
  await vi.waitFor(() => expect(api.queue.controls.length).toBeGreaterThan(0));
  await runBatches(api, workerWith(api, { generate: noAnswer, embed: noEmbedding, ...engine }));
}

describe('streams, by the stock client', () => {
  const ask = { model: modelCard.id, messages: [{ role: 'user' as const, content: 'hello' }], stream: true as const };

  it('come in chunks that join to the answer, with usage at the end', async () => {
    const api = await listen();
    const served = serve(api, { generate: writer });
    const stream = await api.client.chat.completions.create({
      ...ask,
      seed: 3,
      stream_options: { include_usage: true },
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    await served;
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    expect(deltas[0]).toMatchObject({ role: 'assistant' });
    expect(deltas.map(({ content }) => content ?? '').join('')).toBe('choice of seed 3 – in three pieces €');
    const reasoning = deltas.map((delta) => (delta as { reasoning_content?: string }).reasoning_content ?? '');
    expect(reasoning.join('')).toBe('Look.');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 4, prompt_tokens: 900 } });
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(new Set(chunks.map(({ id, created, model }) => `${id} ${created} ${model}`)).size).toBe(1);
  });

  it('are put together by the client’s own helper: text, choices, log-probabilities', async () => {
    const api = await listen();
    const served = serve(api, { generate: writer });
    const { stream: _stream, ...body } = ask;
    const helper = api.client.chat.completions.stream({ ...body, n: 2, seed: 3, logprobs: true, top_logprobs: 1 });
    const { choices, object } = await helper.finalChatCompletion();
    await served;
    expect(object).toBe('chat.completion');
    expect(choices[0]?.message.content).toBe('choice of seed 3 – in three pieces €');
    expect(choices[1]?.message.content).toMatch(/^choice of seed \d – in three pieces €$/);
    expect(choices[0]?.logprobs?.content?.map(({ token, top_logprobs: top }) => [token, top.length])).toEqual([
      ['choice of seed 3', 1],
      [' – in three', 1],
      [' pieces €', 1],
    ]);
  });

  it('carry tool calls that the client’s own helper puts together', async () => {
    const api = await listen();
    const served = serve(api, { generate: caller });
    const { stream: _stream, ...body } = ask;
    const tools = [{ type: 'function' as const, function: { name: 'weather', parameters: { type: 'object' } } }];
    const helper = api.client.chat.completions.stream({ ...body, tools, tool_choice: 'required' });
    const { choices } = await helper.finalChatCompletion();
    await served;
    expect(choices[0]).toMatchObject({
      finish_reason: 'tool_calls',
      message: {
        tool_calls: [
          { id: 'functions.weather:0', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } },
        ],
      },
    });
  });

  it('end with an error of the client’s classes, before and after the first word', async () => {
    const api = await listen();
    const fail: Generate = () =>
      Promise.reject(new AppError('input.context-length', 'too long', { param: 'messages' }));
    const early = serve(api, { generate: fail });
    await expect(api.client.chat.completions.create(ask)).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await early;
    api.queue.controls.length = 0;
    const late = serve(api, {
      generate: async (request, options) => {
        options.onDelta?.({ reasoning: '', content: 'So', toolCalls: [], logprobs: null, completionTokens: 1 });
        // the word is out before the error is
        await new Promise((resolve) => setTimeout(resolve, 20));
        return fail(request, options);
      },
    });
    const stream = await api.client.chat.completions.create(ask);
    const read = async (): Promise<void> => {
      for await (const _chunk of stream);
    };
    await expect(read()).rejects.toMatchObject({ code: 'context_length_exceeded', message: 'too long' });
    await late;
  });

  it('are cancelled by a caller that breaks off', async () => {
    const api = await listen();
    const hold: Generate = (_request, { onDelta }) => {
      onDelta?.({ reasoning: '', content: 'So', toolCalls: [], logprobs: null, completionTokens: 1 });
      return new Promise((_resolve, reject) =>
        api.bus.subscribe(({ type }) => {
          if (type === 'batch-cancel') reject(new AppError('cancelled.by-user', 'the batch was cancelled'));
        }),
      );
    };
    const served = serve(api, { generate: hold });
    const stream = await api.client.chat.completions.create(ask);
    for await (const chunk of stream) if (chunk.choices[0]?.delta.content === 'So') break;
    const id = api.queue.controls[0]?.batchId ?? '';
    await served;
    expect((await api.batches.getBatch('default', id)).status).toBe('cancelled');
  });
});

describe('answers as a whole, by the stock client', () => {
  it('have several choices and log-probabilities', async () => {
    const api = await listen();
    const served = serve(api, { generate: writer });
    const { choices, usage } = await api.client.chat.completions.create({
      model: modelCard.id,
      messages: [{ role: 'user', content: 'hello' }],
      n: 2,
      seed: 3,
      logprobs: true,
      top_logprobs: 2,
    });
    await served;
    expect(choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(choices[1]?.logprobs?.content?.at(-1)).toMatchObject({
      token: ' pieces €',
      logprob: -2,
      bytes: [...Buffer.from(' pieces €')],
      top_logprobs: [{ token: ' pieces €' }, { token: ' pieces €' }],
    });
    expect(usage).toMatchObject({ prompt_tokens: 900, completion_tokens: 8 });
  });

  it('are embeddings, as the client asks for them by itself and as floats', async () => {
    const api = await listen();
    const vectors = [Float32Array.from([0.6, -0.8]), Float32Array.from([1 / 3, 2 / 3])];
    const embed: Embed = async ({ inputs }) => ({
      vectors: inputs.map((_input, index) =>
        Buffer.from(vectors[index]?.buffer ?? new ArrayBuffer(0)).toString('base64'),
      ),
      width: 2,
      promptTokens: 5,
    });
    const ask = { model: modelCard.id, input: ['one', 'two'] };
    for (const encoding of [{}, { encoding_format: 'float' as const }]) {
      api.queue.controls.length = 0;
      const served = serve(api, { embed });
      const { data, usage } = await api.client.embeddings.create({ ...ask, ...encoding });
      await served;
      expect(data.map(({ embedding }) => Float32Array.from(embedding))).toEqual(vectors);
      expect(usage).toEqual({ prompt_tokens: 5, total_tokens: 5 });
    }
  });

  it('are embeddings of a batch', async () => {
    const api = await listen();
    const line = { custom_id: 'a', method: 'POST', url: '/v1/embeddings', body: { model: modelCard.id, input: 'one' } };
    const file = await upload(api, [JSON.stringify(line)]);
    const { id } = await api.client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/embeddings',
      completion_window: '24h',
    });
    const embed: Embed = async () => ({ vectors: ['AACAPw=='], width: 1, promptTokens: 2 });
    await runBatches(api, workerWith(api, { generate: noAnswer, embed }));
    const done = await api.client.batches.retrieve(id);
    expect(done).toMatchObject({ status: 'completed', usage: { input_tokens: 2, output_tokens: 0, total_tokens: 2 } });
    const text = await (await api.client.files.content(done.output_file_id ?? '')).text();
    expect(JSON.parse(text).response.body.data).toEqual([{ object: 'embedding', index: 0, embedding: [1] }]);
  });
});

describe('closing', () => {
  it('does not wait for connections that were opened and never used', async () => {
    const api = await listen();
    await api.client.models.list();
    const socket = connect(api.port, '127.0.0.1');
    await new Promise((resolve) => socket.once('connect', resolve));
    const ended = new Promise((resolve) => socket.once('close', resolve));
    await api.app.close();
    await ended;
    await expect(api.client.models.list()).rejects.toBeInstanceOf(OpenAI.APIConnectionError);
  });
});

describe('errors, by the stock client', () => {
  it('become its classes, with the request id', async () => {
    const api = await listen();
    const missing = await api.client.batches
      .retrieve('batch_0123456789abcdef01234567')
      .catch((reason: unknown) => reason);
    expect(missing).toBeInstanceOf(OpenAI.NotFoundError);
    expect(missing).toMatchObject({
      type: 'not_found_error',
      param: 'batch_id',
      requestID: expect.stringMatching(/^req_/),
    });
    const wrong = await api.client.batches
      .create({ input_file_id: 'x', endpoint: '/v1/completions', completion_window: '24h' })
      .catch((reason: unknown) => reason);
    expect(wrong).toBeInstanceOf(OpenAI.BadRequestError);
    expect(wrong).toMatchObject({ param: 'endpoint', error: { ext: { code: 'input.invalid-request' } } });
  });

  it('name a bad key', async () => {
    const api = await listen({ apiKeys: ['right'] });
    const right = new OpenAI({ baseURL: api.client.baseURL, apiKey: 'right', maxRetries: 0 });
    await expect(api.client.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    expect((await right.models.list()).data.map(({ id }) => id)).toEqual([modelCard.id]);
  });

  it('are JSON with a request id even for what is no HTTP', async () => {
    const api = await listen();
    const socket = connect(api.port, '127.0.0.1');
    socket.end('this is not http\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(text).toMatch(/\r\nx-request-id: req_[0-9a-f]{24}\r\n/);
    expect(JSON.parse(text.slice(text.indexOf('\r\n\r\n')))).toMatchObject({
      error: { message: 'the request is not valid HTTP', type: 'invalid_request_error' },
    });
  });
});
