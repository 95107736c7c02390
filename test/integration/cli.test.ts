import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pollToEnd, RunningStack, sampleDocuments } from '../support/stack-client.ts';

/** The command line as its users meet it: the real program, against everything that `quire up` starts. */
const program = fileURLToPath(new URL('../../src/cli/quire.mjs', import.meta.url));

let stack: RunningStack;
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quire-cli-'));
  for (const { name, text: body } of sampleDocuments(2)) await writeFile(join(folder, name), body);
  await writeFile(join(folder, 'schema.json'), '{"type":"strin"}');
  await writeFile(join(folder, 'picture.md'), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0]));
  stack = await RunningStack.start();
});

afterAll(async () => {
  await stack.remove();
  await rm(folder, { recursive: true, force: true });
});

interface Finished {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Started {
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly finished: Promise<Finished>;
  /** It has said something, so it runs and hears signals. */
  readonly speaking: Promise<unknown>;
}

/** Knows nothing but the data folder, as a user who set `QUIRE_DATA_DIR` and reads `--help`. */
function start(...args: string[]): Started {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: folder,
    env: { ...process.env, QUIRE_DATA_DIR: stack.dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const code = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const finished = Promise.all([code, text(child.stdout), text(child.stderr)]).then(([end, out, err]) => ({
    code: end,
    out,
    err,
  }));
  const speaking = Promise.race([child.stdout, child.stderr].map((stream) => once(stream, 'data')));
  return { kill: (signal) => child.kill(signal), finished, speaking };
}

const quire = (...args: string[]): Promise<Finished> => start(...args).finished;

const objectsOf = (out: string): Record<string, unknown>[] =>
  out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

const short = ['--max-tokens', '16', '--thinking-budget', '4'];
/** Keeps a worker busy for long enough to be cancelled or left. */
const long = ['--max-tokens', '2000', '--thinking-budget', '1500'];

async function submit(...args: string[]): Promise<string> {
  const { out, err } = await quire('submit', ...args, '--json');
  const batch = objectsOf(out)[0]?.['batch'] as { id?: string } | undefined;
  if (batch?.id === undefined) throw new Error(`nothing was submitted: ${err}`);
  return batch.id;
}

describe('the command line', () => {
  it('takes a first-time user from documents to answers', async () => {
    const ask = ['--ask', 'Who delivers?', '--ask', 'Within how many days?'];
    const { code, out, err } = await quire('submit', 'contract-0.md', 'contract-1.md', ...ask, ...short, '--watch');
    expect(err).toMatch(/completed: 4 of 4 lines/);
    for (const line of ['contract-0.md/q1', 'contract-0.md/q2', 'contract-1.md/q1', 'contract-1.md/q2']) {
      expect(out).toContain(`${line}\n`);
    }
    expect(out).toMatch(/4 of 4 lines answered, 0 failed/);
    expect(out).toContain('random weights');
    expect(code).toBe(0);
  });

  it('lists, shows and follows a batch, and gives its results', async () => {
    const id = await submit('contract-0.md', '--ask', 'What?', ...short);
    const watched = await quire('watch', id);
    expect(watched).toMatchObject({ code: 0, err: expect.stringContaining('completed: 1 of 1 lines') });
    expect(watched.out).toContain(`results: quire batch results ${id}`);
    const [list, got, lines, table] = await Promise.all([
      quire('batch', 'list', '--json'),
      quire('batch', 'get', id, '--json'),
      quire('batch', 'results', id, '--json'),
      quire('batch', 'results', id, '--table'),
    ]);
    expect(objectsOf(list.out)[0]).toMatchObject({ id, status: 'completed' });
    expect(objectsOf(got.out)).toEqual([
      expect.objectContaining({ id, request_counts: { total: 1, completed: 1, failed: 0 } }),
    ]);
    expect(objectsOf(lines.out)).toEqual([expect.objectContaining({ custom_id: 'contract-0.md/q1', error: null })]);
    expect(table.out).toMatch(/^line +answer .*\n─+.*\ncontract-0\.md\/q1 /);
    expect([list, got, lines, table].map(({ code, err }) => [code, err])).toEqual(Array(4).fill([0, '']));
  });

  it('makes a batch of a file of lines, and ends with code 1 when one fails', async () => {
    const line = (customId: string, documents: readonly object[]): string =>
      JSON.stringify({
        custom_id: customId,
        method: 'POST',
        url: '/v1/analyses',
        body: { model: 'quire-nano', documents, question: 'What?', max_completion_tokens: 8 },
      });
    const good = line('good', [{ name: 'memo.md', text: 'Nothing happened.' }]);
    const bad = line('bad', [{ file_id: 'file-000000000000000000000000' }]);
    await writeFile(join(folder, 'lines.jsonl'), `${good}\n${bad}\n`);
    const { code, out } = await quire('batch', 'create', 'lines.jsonl', '--watch', '--json');
    const events = objectsOf(out);
    expect(code).toBe(1);
    expect(events.at(-1)).toMatchObject({ type: 'end', ok: false });
    const results = await quire('batch', 'results', String(events[0]?.['id']));
    expect(results.code).toBe(1);
    expect(results.out).toMatch(/^good\n/);
    expect(results.out).toMatch(/^bad\n {2}failed: .*file-000000000000000000000000/m);
  });

  it('cancels a batch', async () => {
    const id = await submit('contract-0.md', '--ask', 'one?', '--ask', 'two?', '--ask', 'three?', ...long);
    const cancelled = await quire('batch', 'cancel', id);
    expect(cancelled).toMatchObject({ code: 0, out: expect.stringMatching(/cancel(ling|led)/) });
    const watched = await quire('watch', id);
    expect(watched).toMatchObject({ code: 1, out: expect.stringContaining(`${id} cancelled:`) });
  });

  it('leaves a batch running when the watching is stopped', async () => {
    // the longest of so many answers is long
    const questions = Array.from({ length: 8 }, (_, index) => ['--ask', `${index}?`]).flat();
    const id = await submit('contract-1.md', ...questions, ...long);
    const watching = start('watch', id);
    await watching.speaking;
    watching.kill('SIGINT');
    const { code, err } = await watching.finished;
    expect([code, err]).toEqual([130, expect.stringContaining(`the batch goes on; follow it with: quire watch ${id}`)]);
    expect((await stack.client.batches.retrieve(id)).status).toMatch(/in_progress|completed/);
    await stack.client.batches.cancel(id).catch(() => {});
    await pollToEnd(stack.client, id);
  });

  it('drops documents into the bucket and shows what comes of them', async () => {
    await writeFile(join(folder, 'scan.pdf'), '%PDF-1.7');
    const args = ['contract-0.md', 'scan.pdf', '--folder', 'contracts', '--ask', 'Who delivers?', ...short];
    const dropped = await quire('drop', ...args, '--watch', '--wait', '60', '--json');
    const events = objectsOf(dropped.out);
    expect(events.filter(({ type }) => type === 'dropped').map(({ key }) => key)).toEqual([
      'inbox/contracts/contract-0.md',
      'inbox/contracts/scan.pdf',
    ]);
    expect(events.filter(({ type }) => type === 'result')).toEqual([
      expect.objectContaining({ document: 'inbox/contracts/contract-0.md', custom_id: 'q1' }),
    ]);
    expect(events.at(-1)).toEqual({
      type: 'end',
      ok: false,
      documents: 2,
      refused: 1,
      lines: 1,
      completed: 1,
      failed: 0,
    });
    expect(dropped.code).toBe(1);
    const again = await quire('drop', 'contract-0.md', '--folder', 'contracts', '--watch');
    expect(again).toMatchObject({ code: 0, out: expect.stringContaining('contracts/contract-0.md/q1') });
    expect(again.err).toContain('was dropped before with the same bytes');
    const [list, receipt] = await Promise.all([
      quire('object', 'list', 'receipts/contracts/', '--json'),
      quire('object', 'get', 'receipts/contracts/scan.pdf.json'),
    ]);
    expect(objectsOf(list.out).map(({ key }) => key)).toEqual([
      'receipts/contracts/contract-0.md.json',
      'receipts/contracts/scan.pdf.json',
    ]);
    expect(JSON.parse(receipt.out)).toMatchObject({ state: 'rejected', reason: expect.stringContaining('.pdf') });
  });

  it('finds everything in order', async () => {
    const { code, out } = await quire('doctor', '--json');
    const [report] = objectsOf(out) as [{ ok: boolean; checks: { name: string; state: string }[] }];
    expect(report.checks.map(({ name }) => name)).toEqual([
      'node',
      'onnxruntime',
      'model',
      'data folder',
      'redis',
      'store',
      'api',
    ]);
    expect(report.checks.filter(({ state }) => state === 'fail')).toEqual([]);
    expect([code, report.ok]).toEqual([0, true]);
  });

  it.each([
    [
      2,
      ['batch', 'get', 'batch_ffffffffffffffffffffffff'],
      /^quire: no such batch: "batch_ffffffffffffffffffffffff"\n$/,
    ],
    [2, ['submit', 'missing.md', '--ask', 'x'], /^quire: no such file: missing\.md\n$/],
    [2, ['submit', 'picture.md', '--ask', 'x'], /^quire: picture\.md is not a text file: byte 5 is zero; .*\n$/],
    [
      2,
      ['submit', 'contract-0.md', '--ask', 'x', '--schema', 'schema.json'],
      /^quire: schema file schema\.json is no valid JSON schema at \/type: .*\n$/,
    ],
    [
      2,
      ['submit', 'contract-0.md', '--ask', 'x', '--model', 'kimi'],
      /^quire: the model "kimi" is not served here; served: quire-nano\n$/,
    ],
    [
      75,
      ['batch', 'list', '--api', 'http://127.0.0.1:9'],
      /^quire: no quire answers at http:\/\/127\.0\.0\.1:9; start one with "quire up"/,
    ],
    [2, ['submitt'], /unknown command 'submitt' \(Did you mean submit\?\)/],
  ])('ends with code %i and a clear sentence for %j', async (expected, args, message) => {
    const { code, out, err } = await quire(...args);
    expect([code, out]).toEqual([expected, '']);
    expect(err).toMatch(message);
  });
});

describe('the command line without a server', () => {
  it('says that documents wait, and that nobody answers', async () => {
    const stopped = await stack.stop();
    expect(stopped).toBe(0);
    const [listed, dropped] = await Promise.all([
      quire('batch', 'list'),
      quire('drop', 'contract-1.md', '--folder', 'later', '--watch'),
    ]);
    expect(listed).toMatchObject({ code: 75, err: expect.stringContaining(`no quire answers at ${stack.apiUrl}`) });
    expect(dropped).toMatchObject({
      code: 75,
      err: expect.stringContaining('wait in its bucket until you start "quire up"'),
    });
    const doctor = await quire('doctor');
    expect(doctor).toMatchObject({ code: 0, out: expect.stringMatching(/^ok +api +port \d+ is free for "quire up"/m) });
    const list = await quire('object', 'list', 'inbox/later/');
    expect(list.out).toContain('inbox/later/contract-1.md\n');
  });
});
