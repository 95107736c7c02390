import { describe, expect, it } from 'vitest';
import { printResults, renderResult, renderResultTable, viewResult, viewResults } from '../../../src/cli/results.ts';
import { analysisLine, failedLine } from './fake-batches.ts';
import { FakeStream } from './fake-io.ts';

const chatLine = JSON.stringify({
  id: 'batch_req_3',
  custom_id: 'chat',
  response: {
    status_code: 200,
    request_id: 'req_3',
    body: { choices: [{ message: { content: 'Hello' } }], usage: { prompt_tokens: 3, completion_tokens: 1 } },
  },
  error: null,
});

async function* linesOf(...lines: string[]): AsyncGenerator<string> {
  yield* lines;
}

describe('a result', () => {
  it('shows answer, pages, quotes and tokens', () => {
    expect(renderResult(viewResult(analysisLine('lease/q1')))).toBe(
      [
        'lease/q1',
        '  60 days',
        '  cites  page 9 ✓ "sixty days"',
        '  tokens 900 read, 768 of them from the cache, 14 written',
      ].join('\n'),
    );
  });

  it('says which quote is not on its page', () => {
    const citations = [{ document: 2, page: 3, quote: 'x', verified: false }];
    expect(renderResult(viewResult(analysisLine('a', { citations })))).toContain(
      'cites  document 2, page 3 (not found there) "x"',
    );
  });

  it('shows answers that are no text as JSON, and text over several lines indented', () => {
    expect(renderResult(viewResult(analysisLine('a', { answer: { days: 60 } })))).toContain('  {\n    "days": 60\n  }');
    expect(renderResult(viewResult(analysisLine('a', { answer: 'one\ntwo' })))).toContain('  one\n  two\n');
    expect(renderResult(viewResult(analysisLine('a', { answer: null, found: false })))).toContain(
      'not found in the document',
    );
  });

  it('shows what there is of an answer that broke off, and why', () => {
    const text = renderResult(
      viewResult(analysisLine('a', { parsed: false, answer: null, ext: { raw: '{"answer":"si' } })),
    );
    expect(text).toContain('{"answer":"si');
    expect(text).toContain('allow more --max-tokens');
  });

  it('reads chat completions', () => {
    expect(renderResult(viewResult(chatLine))).toContain('chat\n  Hello\n');
  });

  it('reads several choices and calls of tools', () => {
    const call = { id: 'a', type: 'function', function: { name: 'look', arguments: '{"page":3}' } };
    const body = { choices: [{ message: { content: 'one' } }, { message: { content: '', tool_calls: [call] } }] };
    const line = JSON.stringify({ custom_id: 'c', response: { status_code: 200, body }, error: null });
    expect(renderResult(viewResult(line))).toBe('c\n  [0] one\n  [1] look({"page":3})');
  });

  it('says of embeddings how many there are', () => {
    const body = {
      object: 'list',
      data: [{ object: 'embedding', index: 0, embedding: [0.5] }],
      usage: { prompt_tokens: 4, total_tokens: 4 },
    };
    const line = JSON.stringify({ custom_id: 'e', response: { status_code: 200, body }, error: null });
    expect(renderResult(viewResult(line))).toBe(
      'e\n  1 embedding; --json or --output has the numbers\n  tokens 4 read, 0 of them from the cache, 0 written',
    );
    expect(renderResultTable([viewResult(line)])).toContain('1 embedding');
  });

  it('gives the reason of a failed line, from the answer or beside it', () => {
    expect(renderResult(viewResult(failedLine('a', 'no such file')))).toBe('a\n  failed: no such file');
    const unrun = JSON.stringify({ custom_id: 'b', response: null, error: { code: 'x', message: 'cancelled' } });
    expect(renderResult(viewResult(unrun))).toBe('b\n  failed: cancelled');
  });

  it('lets no answer move the cursor', () => {
    expect(renderResult(viewResult(analysisLine('a', { answer: 'x\x1b[2Jy\rz' })))).toContain('x·[2Jy·z');
  });
});

describe('printResults', () => {
  it('counts lines and failures, and says once what is to be said of the model', async () => {
    const stream = new FakeStream();
    const notice = { ext: { raw: null, notice: 'random weights' } };
    const lines = linesOf(analysisLine('a', notice), analysisLine('b', notice), failedLine('c', 'wrong'));
    expect(await printResults(stream, viewResults(lines), { table: false })).toEqual({ lines: 3, failed: 1 });
    expect(stream.text.match(/random weights/g)).toHaveLength(1);
    expect(stream.lines.at(-1)).toBe('note: random weights');
  });

  it('makes one table', async () => {
    const stream = new FakeStream();
    await printResults(stream, viewResults(linesOf(analysisLine('a'), failedLine('b', 'wrong'))), { table: true });
    expect(stream.lines[0]).toMatch(/^line +answer +cites +read +cached +written$/);
    expect(stream.lines[2]).toMatch(/^a +60 days +p\.9✓ +900 +768 +14$/);
    expect(stream.lines[3]).toMatch(/^b +failed: wrong +– +– +– +–$/);
    expect(renderResultTable([]).split('\n')).toHaveLength(2);
  });
});
