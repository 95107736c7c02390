import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../../src/cli/program.ts';
import { errorBody, type FakeAnswer, type FakeApi, openFakeApi, type SeenRequest } from './fake-api.ts';
import { analysisLine, batchId, completedBatch, failedLine, fakeBatch } from './fake-batches.ts';
import { openFakeIo } from './fake-io.ts';

type Routes = Readonly<Record<string, (seen: SeenRequest) => FakeAnswer>>;

let folder = '';
const opened: FakeApi[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quire-commands-'));
  await writeFile(join(folder, 'lease.md'), 'The rent is 900 euros.\n');
  await writeFile(
    join(folder, 'lines.jsonl'),
    '{"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{}}\n',
  );
});
afterEach(async () => {
  for (const api of opened.splice(0)) await api.close();
});
afterAll(() => rm(folder, { recursive: true }));

async function run(routes: Routes, args: readonly string[], variables: Record<string, string> = {}) {
  const api = await openFakeApi(routes);
  opened.push(api);
  const io = openFakeIo({ QUIRE_API_URL: api.url, ...variables });
  const code = await runCli(args, io);
  return { code, out: io.stdout.text, err: io.stderr.text, lines: io.stdout.lines, seen: api.seen, url: api.url };
}

const batchRoute = `GET /v1/batches/${batchId}`;
const outputFile = 'file-aaaaaaaaaaaaaaaaaaaaaaaa';
const errorFile = 'file-bbbbbbbbbbbbbbbbbbbbbbbb';
const partly = completedBatch({ error_file_id: errorFile, request_counts: { total: 2, completed: 1, failed: 1 } });
const resultRoutes: Routes = {
  [batchRoute]: () => ({ body: partly }),
  [`GET /v1/files/${outputFile}/content`]: () => ({ body: `${analysisLine('a')}\n` }),
  [`GET /v1/files/${errorFile}/content`]: () => ({ body: `${failedLine('b', 'too long')}\n` }),
};

describe('submit', () => {
  const uploads: SeenRequest[] = [];
  const routes: Routes = {
    'GET /v1/models': () => ({ body: { object: 'list', data: [{ id: 'nano', object: 'model' }] } }),
    'POST /v1/files': (seen) => {
      uploads.push(seen);
      return { body: { id: `file-${String(uploads.length).padStart(24, '0')}`, object: 'file' } };
    },
    'POST /v1/batches': () => ({ body: fakeBatch({ status: 'validating' }) }),
  };

  it('uploads documents, then lines, then makes the batch', async () => {
    uploads.length = 0;
    const args = ['submit', join(folder, 'lease.md'), '--ask', 'one?', '--ask', 'two?', '--window', '1h'];
    const { code, out, seen } = await run(routes, args, { QUIRE_API_KEY: 'secret,other' });
    expect(code).toBe(0);
    expect(uploads[0]?.body).toContain('The rent is 900 euros.');
    expect(uploads[0]?.body).toContain('user_data');
    expect(uploads[1]?.body).toContain('"custom_id":"lease.md/q2"');
    expect(uploads[1]?.body).toContain('"model":"nano"');
    const create = seen.find(({ path }) => path === '/v1/batches');
    expect(JSON.parse(create?.body ?? '')).toEqual({
      input_file_id: 'file-000000000000000000000002',
      endpoint: '/v1/analyses',
      completion_window: '1h',
    });
    expect(create?.authorization).toBe('Bearer secret');
    expect(out).toContain(`${batchId} submitted: 1 documents, 2 lines`);
    expect(out).toContain(`quire watch ${batchId}`);
  });

  it('sends nothing when a document, a question or a schema is wrong', async () => {
    for (const args of [
      ['submit', join(folder, 'none.md'), '--ask', 'x'],
      ['submit', join(folder, 'lease.md')],
      ['submit', join(folder, 'lease.md'), '--ask', 'x', '--schema', join(folder, 'none.json')],
    ]) {
      const { code, seen } = await run(routes, args);
      expect(code).toBe(2);
      expect(seen).toEqual([]);
    }
  });
});

describe('batch create', () => {
  it('takes the endpoint of the first line, and metadata', async () => {
    const { code, seen, lines } = await run(
      {
        'POST /v1/files': () => ({ body: { id: 'file-1', object: 'file' } }),
        'POST /v1/batches': () => ({ body: fakeBatch() }),
      },
      ['batch', 'create', join(folder, 'lines.jsonl'), '--metadata', 'project=a=b', '--json'],
    );
    expect(code).toBe(0);
    expect(JSON.parse(seen.at(-1)?.body ?? '')).toMatchObject({
      endpoint: '/v1/chat/completions',
      metadata: { project: 'a=b' },
    });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ id: batchId });
    expect(lines).toHaveLength(1);
  });

  it('says what to do about a file without a url, and about metadata without a value', async () => {
    expect((await run({}, ['batch', 'create', join(folder, 'lease.md')])).err).toMatch(
      /first line of .* is no request with a url/,
    );
    const args = ['batch', 'create', join(folder, 'lines.jsonl'), '--metadata', 'project'];
    expect((await run({}, args)).err).toMatch(/--metadata must look like key=value, not "project"/);
  });
});

describe('batch list', () => {
  it('goes on to the next page for as many as were asked for', async () => {
    const all = Array.from({ length: 150 }, (_, index) =>
      fakeBatch({ id: `batch_${String(index).padStart(24, '0')}` }),
    );
    const routes: Routes = {
      'GET /v1/batches': ({ path }) => {
        const query = new URL(path, 'http://x').searchParams;
        const start = all.findIndex(({ id }) => id === query.get('after')) + 1;
        const data = all.slice(start, start + Number(query.get('limit')));
        return { body: { object: 'list', data, has_more: start + data.length < all.length } };
      },
    };
    const { lines } = await run(routes, ['batch', 'list', '--limit', '120', '--json']);
    expect(lines).toHaveLength(120);
    expect((await run(routes, ['batch', 'list', '--limit', '3'])).lines).toHaveLength(5);
  });

  it('says what to do while there is none', async () => {
    const routes: Routes = { 'GET /v1/batches': () => ({ body: { object: 'list', data: [], has_more: false } }) };
    expect((await run(routes, ['batch', 'list'])).out).toBe('no batches yet; make one with: quire submit\n');
    expect((await run(routes, ['batch', 'list', '--json'])).out).toBe('');
  });
});

describe('batch get', () => {
  it('shows what is in work', async () => {
    const current = [{ custom_id: 'a', step: 'prefill', prompt_tokens: 9, prefilled_tokens: 3, completion_tokens: 0 }];
    const batch = fakeBatch({ ext: { current, wait_reason: null, error_total: 0 } });
    const { out } = await run({ [batchRoute]: () => ({ body: batch }) }, ['batch', 'get', batchId]);
    expect(out).toMatch(/in_progress: 0 of 4 lines, 10 s\nin work: a reading: 3 of 9 tokens read\n/);
  });

  it('lists the bad lines of a batch that was refused', async () => {
    const errors = { object: 'list' as const, data: [{ code: 'x', message: 'no JSON', param: null, line: 3 }] };
    const batch = fakeBatch({
      status: 'failed',
      failed_at: 991,
      errors,
      ext: { current: [], wait_reason: null, error_total: 7 },
    });
    const { out } = await run({ [batchRoute]: () => ({ body: batch }) }, ['batch', 'get', batchId]);
    expect(out).toContain('line 3: no JSON\n… and 6 more\n');
  });
});

describe('batch results', () => {
  it('shows answers, then failures, and ends with code 1', async () => {
    const { code, out } = await run(resultRoutes, ['batch', 'results', batchId]);
    expect(code).toBe(1);
    expect(out).toContain('a\n  60 days\n');
    expect(out).toContain('b\n  failed: too long\n');
  });

  it('gives the lines as they are with --json, and into a file', async () => {
    const wanted = `${analysisLine('a')}\n${failedLine('b', 'too long')}\n`;
    expect((await run(resultRoutes, ['batch', 'results', batchId, '--json'])).out).toBe(wanted);
    const path = join(folder, 'results.jsonl');
    await run(resultRoutes, ['batch', 'results', batchId, '--output', path]);
    expect(await readFile(path, 'utf8')).toBe(wanted);
  });

  it('says that a running batch has none yet', async () => {
    const { code, err } = await run({ [batchRoute]: () => ({ body: fakeBatch() }) }, ['batch', 'results', batchId]);
    expect([code, err]).toEqual([
      2,
      `quire: ${batchId} is in_progress; its results come at the end: quire watch ${batchId}\n`,
    ]);
  });
});

describe('watch', () => {
  it('ends with the batch: progress on stderr, the end on stdout, code 1 when lines failed', async () => {
    const { code, out, err } = await run(resultRoutes, ['watch', batchId, '--results']);
    expect(code).toBe(1);
    expect(err).toContain('completed: 2 of 2 lines');
    expect(out).toContain('failed: too long');
    expect(out).toContain('1 of 2 lines answered, 1 failed');
  });

  it('polls: one event a change with --json, and nothing else', async () => {
    const answers = [fakeBatch(), fakeBatch(), completedBatch()];
    const { code, lines, err } = await run(
      { [batchRoute]: () => ({ body: answers.length > 1 ? answers.shift() : answers[0] }) },
      ['watch', batchId, '--json'],
    );
    expect(code).toBe(0);
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ type }) => type)).toEqual(['progress', 'progress', 'end']);
    expect(events.at(-1)).toMatchObject({ ok: true, batch: { status: 'completed' } });
    expect(err).toBe('');
  });
});

describe('batch cancel', () => {
  it('says how the batch stands', async () => {
    const routes: Routes = {
      [`POST /v1/batches/${batchId}/cancel`]: () => ({ body: fakeBatch({ status: 'cancelling' }) }),
    };
    expect((await run(routes, ['batch', 'cancel', batchId])).out).toBe(
      `${batchId} cancelling; finished lines keep their results\n`,
    );
  });
});

describe('batch budget', () => {
  it.each([
    ['5000', 5_000],
    ['none', null],
  ])('sends %s as %j, and says whether the batch goes on', async (text, tokens) => {
    const sent: unknown[] = [];
    const routes: Routes = {
      [`POST /v1/batches/${batchId}/budget`]: ({ body }) => {
        sent.push(JSON.parse(body));
        return { body: fakeBatch({ status: 'in_progress' }) };
      },
    };
    expect((await run(routes, ['batch', 'budget', batchId, text])).out).toBe(`${batchId} in_progress; it goes on\n`);
    expect(sent).toEqual([{ token_budget: tokens }]);
  });

  it('refuses what is no number of tokens', async () => {
    const { code, err } = await run({}, ['batch', 'budget', batchId, 'lots']);
    expect(code).toBe(2);
    expect(err).toContain('It must be an integer from 1');
  });
});

describe('errors of the server', () => {
  const answer = (status: number, body: unknown): Routes => ({ [batchRoute]: () => ({ status, body }) });
  const get = ['batch', 'get', batchId];

  it('keep their sentence, and their family gives the exit code', async () => {
    const missing = await run(answer(404, errorBody('input.not-found', 'no such batch: "x"')), get);
    expect([missing.code, missing.err]).toEqual([2, 'quire: no such batch: "x"\n']);
    const busy = await run(answer(503, errorBody('transient.store-unreachable', 'the store is away')), get);
    expect([busy.code, busy.err]).toEqual([75, 'quire: the store is away\n']);
    const bug = await run(answer(500, errorBody('bug.invariant', 'internal error')), [...get, '--json']);
    expect([bug.code, JSON.parse(bug.out)]).toEqual([
      70,
      { ok: false, error: { code: 'bug.invariant', message: 'internal error' } },
    ]);
  });

  it('about the key say which key is sent', async () => {
    const { code, err } = await run(answer(401, errorBody('input.unauthorized', 'unknown api key')), get);
    expect([code, err]).toEqual([2, 'quire: unknown api key; quire sends the first key of QUIRE_API_KEY\n']);
  });

  it('of other programs become a sentence, too', async () => {
    const { code, err, url } = await run(answer(502, '<html>Bad gateway</html>'), get);
    expect(code).toBe(75);
    expect(err).toBe(`quire: ${url} answered with status 502\n`);
  });

  it('name "quire up" at once when nobody listens', async () => {
    const { url, close } = await openFakeApi({});
    await close();
    const io = openFakeIo({ QUIRE_API_URL: url });
    const startMs = Date.now();
    expect(await runCli(['batch', 'list'], io)).toBe(75);
    expect(io.stderr.text).toBe(
      `quire: no quire answers at ${url}; start one with "quire up", or name another with --api or QUIRE_API_URL\n`,
    );
    expect(Date.now() - startMs).toBeLessThan(2_000);
  });
});
