import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type OpenAI from 'openai';
import { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pollToEnd, RunningStack, readLines } from '../support/stack-client.ts';

/** Everything a user can get wrong, against the whole product: a named answer each, and nothing else breaks. */

const command = fileURLToPath(new URL('../../src/cli/quire.mjs', import.meta.url));
const fixture = fileURLToPath(new URL('../fixtures/k2-tiny-bf16', import.meta.url));
const maxFileBytes = 256 * 1024;
const maxLines = 40;
const maxLineBytes = 200 * 1024;

let stack: RunningStack;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quire-bad-'));
  const env = {
    QUIRE_MAX_FILE_BYTES: String(maxFileBytes),
    QUIRE_MAX_LINES: String(maxLines),
    QUIRE_MAX_LINE_BYTES: String(maxLineBytes),
  };
  stack = await RunningStack.start({ env });
});

afterAll(async () => {
  await stack?.remove();
  await rm(folder, { recursive: true, force: true });
});

type Fields = Readonly<Record<string, unknown>>;

const chatLine = (customId: unknown, body: Fields = {}, line: Fields = {}): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: {
      model: 'quire-nano',
      messages: [{ role: 'user', content: 'Hello' }],
      max_completion_tokens: 1,
      ...body,
    },
    ...line,
  });

const analysisLine = (customId: string, body: Fields): string =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/analyses',
    body: {
      model: 'quire-nano',
      documents: [{ name: 'a.md', text: 'Ten days.' }],
      question: 'How long?',
      max_completion_tokens: 4,
      ...body,
    },
  });

async function runBatch(
  content: string | Uint8Array,
  endpoint = '/v1/chat/completions',
): Promise<OpenAI.Batch & { readonly lines: Record<string, unknown>[] }> {
  const file = await stack.client.files.create({
    file: await toFile(Buffer.from(content), 'b.jsonl'),
    purpose: 'batch',
  });
  const created = await stack.client.batches.create({
    input_file_id: file.id,
    endpoint: endpoint as '/v1/chat/completions',
    completion_window: '24h',
  });
  const batch = await pollToEnd(stack.client, created.id);
  const lines = [
    ...(await readLines(stack.client, batch.output_file_id)),
    ...(await readLines(stack.client, batch.error_file_id)),
  ];
  return { ...batch, lines };
}

const listedErrors = ({ errors }: OpenAI.Batch) =>
  (errors?.data ?? []).map(({ code, line, message }) => ({ code, line, message }));

describe('an input file whose lines cannot be read', () => {
  const invalid = Buffer.concat([
    Buffer.from(`${chatLine('a')}\n{"custom_id":"`),
    Buffer.from([0xff, 0xfe, 0xc3]),
    Buffer.from(`"}\n${chatLine('c')}`),
  ]);

  it.each<[string, string | Uint8Array, readonly { code: string; line: number | null; message: RegExp }[]]>([
    ['no line', '', [{ code: 'empty_batch', line: null, message: /no line/ }]],
    ['blank lines only', '\n\n \n', [{ code: 'empty_batch', line: null, message: /no line/ }]],
    [
      'what is not JSON, and JSON that is no object',
      [chatLine('a'), 'nonsense', '[1]', '3', 'null', '"x"', '{"custom_id":"cut'].join('\n'),
      [
        { code: 'invalid_json_line', line: 2, message: /not valid JSON/ },
        { code: 'invalid_json_line', line: 3, message: /an array/ },
        { code: 'invalid_json_line', line: 4, message: /a number/ },
        { code: 'invalid_json_line', line: 5, message: /null/ },
        { code: 'invalid_json_line', line: 6, message: /a string/ },
        { code: 'invalid_json_line', line: 7, message: /not valid JSON/ },
      ],
    ],
    [
      'custom ids that are missing, doubled, too long or no text',
      [chatLine('a'), chatLine('a'), chatLine(undefined), chatLine(''), chatLine(5), chatLine('x'.repeat(600))].join(
        '\n',
      ),
      [
        { code: 'duplicate_custom_id', line: 2, message: /"a" is used by line 1/ },
        { code: 'missing_custom_id', line: 3, message: /custom_id is missing/ },
        { code: 'missing_custom_id', line: 4, message: /custom_id is missing/ },
        { code: 'invalid_custom_id', line: 5, message: /a number.*at most 512/ },
        { code: 'invalid_custom_id', line: 6, message: /600 characters.*at most 512/ },
      ],
    ],
    [
      'an unknown url, one of another endpoint, another method, a field of the line that is unknown',
      [
        chatLine('a', {}, { url: '/v1/nope' }),
        chatLine('b', {}, { url: '/v1/analyses' }),
        chatLine('c', {}, { method: 'GET' }),
        chatLine('d', {}, { extra: 1 }),
      ].join('\n'),
      [
        { code: 'invalid_url', line: 1, message: /"\/v1\/nope".*one of/ },
        { code: 'url_mismatch', line: 2, message: /created for \/v1\/chat\/completions/ },
        { code: 'invalid_method', line: 3, message: /"GET".*"POST"/ },
        { code: 'unknown_parameter', line: 4, message: /unknown field "extra"/ },
      ],
    ],
    ['bytes that are no UTF-8', invalid, [{ code: 'invalid_encoding', line: 2, message: /UTF-8/ }]],
    [
      'JSON nested beyond reason',
      `${chatLine('a')}\n{"custom_id":"z","body":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
      [{ code: 'invalid_json_line', line: 2, message: /nested deeper/ }],
    ],
    [
      'a line that is too long',
      chatLine('a', { messages: [{ role: 'user', content: 'y'.repeat(maxLineBytes) }] }),
      [{ code: 'line_too_long', line: 1, message: new RegExp(`at most ${maxLineBytes}`) }],
    ],
  ])('fails as a whole and lists every bad line: %s', async (_name, content, expected) => {
    const batch = await runBatch(content);
    expect(batch.status).toBe('failed');
    expect(batch.request_counts).toEqual({ total: 0, completed: 0, failed: 0 });
    expect(batch.lines).toEqual([]);
    expect(listedErrors(batch)).toEqual(
      expected.map(({ code, line, message }) => ({ code, line, message: expect.stringMatching(message) })),
    );
  });

  it('fails with a name when it has too many lines', async () => {
    const batch = await runBatch(Array.from({ length: maxLines + 1 }, (_, at) => chatLine(`l${at}`)).join('\n'));
    expect(batch.status).toBe('failed');
    expect(batch.errors?.data?.[0]?.message).toContain(String(maxLines));
  });
});

const answerOf = (
  line: Fields | undefined,
): { readonly status: number; readonly code: string; readonly message: string } => {
  const response = line?.['response'] as { status_code: number; body: { error?: Fields } } | undefined;
  const { status_code: status, body } = response ?? { status_code: 0, body: {} as { error?: Fields } };
  return { status, code: String(body.error?.['code'] ?? ''), message: String(body.error?.['message'] ?? '') };
};

describe('a line that cannot be answered', () => {
  const text = (length: number): string => 'word '.repeat(length);
  const chatCases: readonly [string, Fields, string, RegExp][] = [
    ['unknown model', { model: 'gpt-9' }, 'model_not_found', /"gpt-9".*quire-nano/],
    ['no model', { model: undefined }, 'invalid_request', /model is required/],
    ['unknown field', { foo: 1 }, 'unknown_parameter', /unknown field.*foo/],
    ['unsupported field', { store: true }, 'unsupported_parameter', /store is true/],
    ['too many choices', { n: 9 }, 'invalid_request', /n is 9.*from 1 to 8/],
    ['alternatives of nothing', { top_logprobs: 3 }, 'invalid_request', /top_logprobs is 3; it needs logprobs true/],
    ['a tool that is not declared', { tool_choice: 'required' }, 'invalid_request', /tools declares none/],
    ['stream', { stream: true }, 'unsupported_parameter', /stream is true; a line of a batch is answered as a whole/],
    ['no messages', { messages: [] }, 'invalid_request', /messages/],
    ['unknown role', { messages: [{ role: 'wizard', content: 'x' }] }, 'invalid_request', /"wizard".*one of/],
    [
      'picture',
      { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
      'unsupported_parameter',
      /image_url/,
    ],
    ['no tokens', { max_completion_tokens: 0 }, 'invalid_request', /max_completion_tokens is 0/],
    ['temperature', { temperature: 99 }, 'invalid_request', /temperature is 99/],
    ['seed', { seed: 1e300 }, 'invalid_request', /seed/],
    [
      'schema',
      { response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { type: 'nope' } } } },
      'invalid_schema',
      /schema/,
    ],
    [
      'window',
      { messages: [{ role: 'user', content: text(33_000) }] },
      'context_length_exceeded',
      /33\d{3} tokens.*32768/,
    ],
    ['prototype', { constructor: { prototype: {} } }, 'unknown_parameter', /constructor/],
  ];

  it('is an error line with status 400, and the others are answered', async () => {
    const good = ['constructor', '__proto__', 'toString'];
    const content = [...good.map((id) => chatLine(id)), ...chatCases.map(([id, body]) => chatLine(id, body))].join(
      '\n',
    );
    const batch = await runBatch(content);
    expect(batch.status).toBe('completed');
    const total = good.length + chatCases.length;
    expect(batch.request_counts).toEqual({ total, completed: good.length, failed: chatCases.length });
    const answers = new Map(batch.lines.map((line) => [line['custom_id'], answerOf(line)]));
    expect(answers.size).toBe(total);
    for (const id of good) expect(answers.get(id)?.status).toBe(200);
    for (const [id, , code, message] of chatCases) {
      expect({ id, ...answers.get(id) }).toEqual({ id, status: 400, code, message: expect.stringMatching(message) });
    }
  });

  it('names what is wrong with documents, question and schema of an analysis', async () => {
    const cases: readonly [string, Fields, string, RegExp][] = [
      [
        'no such file',
        { documents: [{ file_id: 'file-000000000000000000000000' }] },
        'document_not_found',
        /file-0000/,
      ],
      ['no file id', { documents: [{ file_id: '../../etc' }] }, 'document_not_found', /etc/],
      ['internal key', { documents: [{ key: 'v1/default/files' }] }, 'document_not_found', /internal/],
      ['no such key', { documents: [{ key: 'inbox/x/none.md' }] }, 'document_not_found', /none\.md/],
      ['no documents', { documents: [] }, 'invalid_request', /documents/],
      ['empty document', { documents: [{ name: 'x', text: '' }] }, 'invalid_request', /text/],
      ['two kinds', { documents: [{ file_id: 'x', text: 'y' }] }, 'unknown_parameter', /documents\[0\]/],
      ['no question', { question: '' }, 'invalid_request', /question/],
      ['foreign reference', { answer: 'json', schema: { $ref: 'http://x/y' } }, 'invalid_schema', /schema/],
      ['unknown field', { foo: 1 }, 'unknown_parameter', /foo/],
    ];
    const batch = await runBatch(
      [analysisLine('good', {}), ...cases.map(([id, body]) => analysisLine(id, body))].join('\n'),
      '/v1/analyses',
    );
    expect(batch.request_counts).toEqual({ total: cases.length + 1, completed: 1, failed: cases.length });
    const answers = new Map(batch.lines.map((line) => [line['custom_id'], answerOf(line)]));
    for (const [id, , code, message] of cases) {
      expect({ id, ...answers.get(id) }).toEqual({ id, status: 400, code, message: expect.stringMatching(message) });
    }
  });

  it('is answered although the input file was deleted, and fails alone when its document was', async () => {
    const { client } = stack;
    const kept = await client.files.create({
      file: await toFile(Buffer.from('Ten days.'), 'kept.md'),
      purpose: 'user_data',
    });
    const gone = await client.files.create({
      file: await toFile(Buffer.from('Nine.'), 'gone.md'),
      purpose: 'user_data',
    });
    await client.files.delete(gone.id);
    const lines = [kept, gone].map(({ id }) => analysisLine(id, { documents: [{ file_id: id }] })).join('\n');
    const input = await client.files.create({ file: await toFile(Buffer.from(lines), 'b.jsonl'), purpose: 'batch' });
    const created = await client.batches.create({
      input_file_id: input.id,
      endpoint: '/v1/analyses' as '/v1/chat/completions',
      completion_window: '24h',
    });
    let deleted = false;
    const batch = await pollToEnd(client, created.id, ({ status }) => {
      if (deleted || status === 'validating') return;
      deleted = true;
      void client.files.delete(input.id);
    });
    expect(batch.request_counts).toEqual({ total: 2, completed: 1, failed: 1 });
    const [failed] = await readLines(client, batch.error_file_id);
    expect(answerOf(failed)).toMatchObject({ status: 400, code: 'document_not_found' });
  });
});

interface HttpAnswer {
  readonly status: number;
  readonly code: unknown;
  readonly message: string;
}

async function request(
  method: string,
  path: string,
  init: { body?: string; headers?: Record<string, string> } = {},
): Promise<HttpAnswer> {
  const headers = { ...(init.body === undefined ? {} : { 'content-type': 'application/json' }), ...init.headers };
  const response = await fetch(stack.apiUrl + path, {
    method,
    headers,
    ...(init.body === undefined ? {} : { body: init.body }),
  });
  const { error } = (await response.json()) as { error: { code: unknown; message: string; type: unknown } };
  expect(response.headers.get('x-request-id')).toMatch(/^req_/);
  return { status: response.status, code: error.code, message: error.message };
}

describe('a call that cannot be served', () => {
  const chat = (fields: Fields): string =>
    JSON.stringify({
      model: 'quire-nano',
      messages: [{ role: 'user', content: 'x' }],
      max_completion_tokens: 1,
      ...fields,
    });
  const batch = (fields: Fields): string =>
    JSON.stringify({ input_file_id: 'file-x', endpoint: '/v1/analyses', completion_window: '24h', ...fields });
  const completions = '/v1/chat/completions';

  it.each<[string, string, string, string | undefined, number, string, RegExp]>([
    ['what is not JSON', 'POST', completions, '{nope', 400, 'invalid_json', /JSON/],
    ['an array', 'POST', completions, '[]', 400, 'invalid_request', /array/],
    ['null', 'POST', completions, 'null', 400, 'invalid_request', /null/],
    ['no body', 'POST', completions, undefined, 400, 'invalid_request', /JSON object/],
    ['a prototype key', 'POST', completions, '{"__proto__":{"a":1}}', 400, 'invalid_json', /./],
    ['an unknown model', 'POST', completions, chat({ model: 'x' }), 404, 'model_not_found', /"x".*quire-nano/],
    ['an unknown field', 'POST', completions, chat({ foo: 1 }), 400, 'unknown_parameter', /foo/],
    ['options of no stream', 'POST', completions, chat({ stream_options: {} }), 400, 'invalid_request', /stream true/],
    [
      'a prompt beyond the window',
      'POST',
      completions,
      chat({ messages: [{ role: 'user', content: 'word '.repeat(33_000) }] }),
      400,
      'context_length_exceeded',
      /32768/,
    ],
    [
      'a body beyond the limit',
      'POST',
      completions,
      chat({ messages: [{ role: 'user', content: 'w'.repeat(maxLineBytes) }] }),
      413,
      'file_too_large',
      /large/,
    ],
    [
      'a file that is not there',
      'POST',
      '/v1/batches',
      batch({ input_file_id: 'file-000000000000000000000000' }),
      404,
      'not_found',
      /file-0000/,
    ],
    ['a file id that is a path', 'POST', '/v1/batches', batch({ input_file_id: '../../etc' }), 404, 'not_found', /etc/],
    [
      'an unknown endpoint',
      'POST',
      '/v1/batches',
      batch({ endpoint: '/v1/nope' }),
      400,
      'invalid_request',
      /\/v1\/nope/,
    ],
    ['unknown fields', 'POST', '/v1/batches', batch({ a: 1, b: 2 }), 400, 'unknown_parameter', /"a", "b"/],
    [
      'too much metadata',
      'POST',
      '/v1/batches',
      batch({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`k${at}`, 'v'])) }),
      400,
      'invalid_request',
      /metadata.*16/,
    ],
    ['nothing', 'POST', '/v1/batches', '{}', 400, 'invalid_request', /input_file_id/],
    ['a batch id that climbs', 'GET', '/v1/batches/..%2f..%2fx', undefined, 404, 'not_found', /no such batch/],
    ['a batch id of the prototype', 'GET', '/v1/batches/__proto__', undefined, 404, 'not_found', /no such batch/],
    ['a broken escape', 'GET', '/v1/batches/%E0%A4%A', undefined, 400, 'invalid_request', /url/],
    ['a limit out of range', 'GET', '/v1/batches?limit=0', undefined, 400, 'invalid_request', /limit.*0/],
    ['an unknown cursor', 'GET', '/v1/batches?after=zzz', undefined, 404, 'not_found', /zzz/],
    ['an unknown route', 'GET', '/v1/nope', undefined, 404, 'not_found', /GET \/v1\/nope/],
    ['an unknown analysis', 'GET', '/v1/analyses/an_nope', undefined, 404, 'not_found', /an_nope/],
    [
      'a file to delete that is not there',
      'DELETE',
      '/v1/files/file-000000000000000000000000',
      undefined,
      404,
      'not_found',
      /file-0000/,
    ],
  ])('is refused by name: %s', async (_name, method, path, body, status, code, message) => {
    const answer = await request(method, path, body === undefined ? {} : { body });
    expect(answer).toEqual({ status, code, message: expect.stringMatching(message) });
  });

  it('is refused with 415 when its body is of another type', async () => {
    const answer = await request('POST', completions, { body: 'hi', headers: { 'content-type': 'text/plain' } });
    expect(answer).toMatchObject({ status: 415, code: 'unsupported_media_type' });
  });

  it('is refused by name when its body is no UTF-8, as a line of a file is', async () => {
    const [head, tail] = chat({}).split('"x"');
    const body = Buffer.concat([Buffer.from(`${head}"`), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from(`"${tail}`)]);
    const response = await fetch(stack.apiUrl + completions, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
    });
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_encoding' } });
  });

  it('is refused with 413 when the file is over the limit, of known and of unknown length', async () => {
    const bytes = Buffer.alloc(maxFileBytes + 2 * 1024 * 1024, 'x');
    const upload = stack.client.files.create({ file: await toFile(bytes, 'big.jsonl'), purpose: 'batch' });
    await expect(upload).rejects.toMatchObject({ status: 413, code: 'file_too_large' });
    const path = join(folder, 'big.jsonl');
    await writeFile(path, Buffer.alloc(maxFileBytes + 1, 'x'));
    const { createReadStream } = await import('node:fs');
    const streamed = stack.client.files.create({ file: createReadStream(path), purpose: 'batch' });
    await expect(streamed).rejects.toMatchObject({
      status: 413,
      message: expect.stringContaining(String(maxFileBytes)),
    });
  });

  it.each([
    ['no HTTP', 'GARBAGE\r\n\r\n', /^HTTP\/1\.1 400 .*not valid HTTP/s],
    ['huge headers', `GET /healthz HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(40_000)}\r\n\r\n`, /^HTTP\/1\.1 431 /],
    [
      'two lengths',
      'POST /v1/batches HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      /^HTTP\/1\.1 400 /,
    ],
    [
      'a broken chunk',
      'POST /v1/batches HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n',
      /^HTTP\/1\.1 400 /,
    ],
  ])('is answered and cut off when it is %s', async (_name, text, expected) => {
    expect(await sendRaw(text)).toMatch(expected);
  });
});

/** What a server says to bytes that no client would send, until it closes the connection. */
function sendRaw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(stack.apiUrl).port), '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += String(chunk);
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.setTimeout(10_000, () => socket.destroy(new Error('the server does not close the connection')));
  });
}

interface CommandEnd {
  readonly code: number;
  readonly stderr: string;
}

function runQuire(args: readonly string[], env: Record<string, string> = {}): Promise<CommandEnd> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [command, ...args],
      { env: { ...process.env, ...env }, timeout: 50_000 },
      (error, _stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? Number.NaN), stderr });
      },
    );
  });
}

const upIn = (name: string, args: readonly string[] = []): string[] => [
  ...['up', '--port', '0', '--data-dir', join(folder, name)],
  ...args,
];

/** Checkpoint folders with one fault each. */
async function writeBadModels(): Promise<Readonly<Record<'missing' | 'shape' | 'cut' | 'foreign', string>>> {
  const at = (name: string): string => join(folder, `model-${name}`);
  for (const name of ['missing', 'shape', 'cut', 'foreign']) await cp(fixture, at(name), { recursive: true });
  // more layers in the config than in the file
  await changeConfig(at('missing'), (config) => ({ ...config, num_hidden_layers: 9 }));
  await changeConfig(at('shape'), (config) => ({ ...config, kv_lora_rank: Number(config['kv_lora_rank']) * 2 }));
  await truncate(join(at('cut'), 'model.safetensors'), 400_000);
  await changeConfig(at('foreign'), (config) => ({ ...config, architectures: ['LlamaForCausalLM'] }));
  return { missing: at('missing'), shape: at('shape'), cut: at('cut'), foreign: at('foreign') };
}

async function changeConfig(model: string, change: (config: Fields) => Fields): Promise<void> {
  const path = join(model, 'config.json');
  await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')) as Fields)));
}

describe('a command that cannot run', () => {
  it('names what is wrong with a model folder, in verify and in up', async () => {
    const { missing, shape, cut, foreign } = await writeBadModels();
    const verify = (model: string): Promise<CommandEnd> => runQuire(['model', 'verify', model]);
    expect(await Promise.all([missing, shape, cut, foreign, join(folder, 'none')].map(verify))).toEqual([
      { code: 2, stderr: expect.stringMatching(/^quire: .*tensor model\.layers\.\d\.\S+ is missing/) },
      { code: 2, stderr: expect.stringMatching(/^quire: .*tensor \S+ has shape \[.*\], wanted \[/) },
      { code: 65, stderr: expect.stringMatching(/^quire: .*model\.safetensors.* truncated: /) },
      { code: 2, stderr: expect.stringMatching(/^quire: .*"LlamaForCausalLM".*DeepseekV3ForCausalLM/) },
      { code: 2, stderr: expect.stringMatching(/^quire: model folder \S+none/) },
    ]);
    const up = await runQuire(upIn('of-bad-model', ['--model', cut]));
    expect(up).toEqual({ code: 65, stderr: expect.stringMatching(/^quire: .*truncated: /) });
  });

  it('says which setting or place is wrong, at once', async () => {
    const file = join(folder, 'file');
    await writeFile(file, 'x');
    const port = new URL(stack.apiUrl).port;
    expect(
      await Promise.all([
        runQuire(['up', '--port', port, '--data-dir', join(folder, 'port')]),
        runQuire(['up', '--port', 'abc', '--data-dir', join(folder, 'port')]),
        runQuire(['up', '--port', '0', '--data-dir', stack.dataDir]),
        runQuire(['up', '--port', '0', '--data-dir', file]),
        runQuire(upIn('limit'), { QUIRE_MAX_LINES: 'many' }),
      ]),
    ).toEqual([
      { code: 2, stderr: expect.stringMatching(new RegExp(`^quire: port ${port} .*taken`)) },
      { code: 2, stderr: expect.stringMatching(/^quire: port .*"abc"/) },
      { code: 2, stderr: expect.stringMatching(/^quire: data folder .* in use by another quire, process \d+/) },
      { code: 2, stderr: expect.stringMatching(/^quire: cannot use data folder/) },
      { code: 2, stderr: expect.stringMatching(/^quire: QUIRE_MAX_LINES .*"many"/) },
    ]);
  });

  it('asks for a key before it listens elsewhere than on loopback', async () => {
    const { code, stderr } = await runQuire(upIn('host', ['--host', '0.0.0.0']));
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/^quire: .*0\.0\.0\.0.*QUIRE_API_KEY/) });
  });

  it('gives up with a sentence when Redis or the store does not answer at the start', async () => {
    const nowhere = 'http://127.0.0.1:1';
    const keys = { S3_ACCESS_KEY_ID: 'a', S3_SECRET_ACCESS_KEY: 'b', S3_BUCKET: 'bucket' };
    const [redis, store] = await Promise.all([
      runQuire(upIn('no-redis'), { REDIS_URL: 'redis://127.0.0.1:1' }),
      runQuire(upIn('no-store'), { S3_ENDPOINT: nowhere, ...keys }),
    ]);
    expect(redis).toEqual({ code: 75, stderr: expect.stringMatching(/^quire: redis .*unreachable/) });
    expect(store).toEqual({ code: 75, stderr: expect.stringMatching(/^quire: object store .*127\.0\.0\.1:1/) });
  });

  it('leaves no process behind', async () => {
    const ps = spawn('ps', ['-eo', 'args'], { stdio: ['ignore', 'pipe', 'ignore'] });
    let text = '';
    for await (const chunk of ps.stdout) text += String(chunk);
    expect(text.split('\n').filter((line) => line.includes(folder))).toEqual([]);
  });
});

describe('after all that', () => {
  it('every process is the one that was started, and answers', async () => {
    expect(stack.events.filter(({ type }) => type === 'child-exit')).toEqual([]);
    const batch = await runBatch([chatLine('a'), chatLine('b')].join('\n'));
    expect(batch.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
  });
});
