import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { type AnalysisRequest, parseLineRequest } from '../../../src/batch/index.ts';
import type { GenerateRequest, GenerateResult, ModelCard } from '../../../src/engine/index.ts';
import type { Document } from '../../../src/pipeline/document/document.ts';
import { LineRunner, type LineTask } from '../../../src/pipeline/index.ts';
import { showsWhole } from '../../../src/pipeline/run-analysis.ts';
import { generateResult } from '../../support/generate-result.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';

const card = { id: 'nano', contextTokens: 64, notice: 'weights are random', digest: 'd'.repeat(64) } as ModelCard;

const fileId = `file-${'1'.repeat(24)}`;
const files: Record<string, string> = { [fileId]: 'First page.\n\f\nNotice is sixty days.' };

function setUp(generate: (request: GenerateRequest) => Partial<GenerateResult>, shown: Partial<ModelCard> = {}) {
  const asked: GenerateRequest[] = [];
  const loads: string[] = [];
  const runner = new LineRunner({
    generate: async (request) => {
      asked.push(request);
      return generateResult(generate(request));
    },
    embed: () => Promise.reject(new Error('no embedding is asked for here')),
    loadDocument: async (ref) => {
      const id = 'fileId' in ref ? ref.fileId : ref.key;
      loads.push(id);
      const text = files[id];
      if (text === undefined) throw new AppError('input.document-not-found', `no file ${id}`, { param: 'documents' });
      return { name: 'lease.md', bytes: Buffer.from(text) };
    },
    card: { ...card, ...shown },
    clock: { nowMs: () => 5_000, sleep: () => Promise.resolve() },
  });
  const run = (
    body: object,
    url: '/v1/analyses' | '/v1/chat/completions' = '/v1/analyses',
    more: Partial<LineTask> = {},
  ) =>
    runner.run({
      name: 'batch_1/0',
      tenant: 'default',
      request: parseLineRequest(url, { model: 'nano', ...body }, ['nano']),
      seed: 77,
      priority: 1,
      deadlineMs: null,
      signal: new AbortController().signal,
      onProgress: () => {},
      journal: new MemoryJournal(),
      openDeltas: null,
      ...more,
    });
  return { run, asked, loads };
}

const analysis = { documents: [{ file_id: fileId }], question: 'What is the notice?' };

describe('LineRunner', () => {
  it('shows an outline of what is too long, lets the model read with tools, and bills each token once', async () => {
    const answer = { answer: '60 days', citations: [{ document: 1, page: 2, quote: 'sixty days' }], found: true };
    const read = { id: 'functions.read_pages:0', name: 'read_pages', arguments: '{"document":1,"from":2,"to":2}' };
    const { run, asked } = setUp((request) =>
      request.messages.length === 3
        ? { toolCalls: [read], finishReason: 'tool_calls', promptTokens: 300, completionTokens: 20, cachedTokens: 256 }
        : { content: JSON.stringify(answer), promptTokens: 370, completionTokens: 30, cachedTokens: 310 },
    );
    const text = `# Lease\n${'The tenant pays. '.repeat(9)}\f# Term\nNotice is sixty days.`;
    const { body } = await run({ documents: [{ name: 'lease.md', text }], question: 'Notice?', tools: true });
    expect(asked[0]?.messages[1]?.content).toBe(
      'Document 1: lease.md (2 pages)\n[outline]\n# Lease (p. 1)\n# Term (p. 2)\n',
    );
    expect(asked[1]?.messages.at(-1)?.content).toBe('[page 2]\n# Term\nNotice is sixty days.');
    expect(body).toMatchObject({
      answer: '60 days',
      citations: [{ document: 1, page: 2, verified: true }],
      coverage: { pages_total: 2, pages_read: 1, skipped: [{ document: 1, from: 1, to: 1, reason: 'not_opened' }] },
      // 300, and the 50 of the result that the model had not written itself
      usage: { prompt_tokens: 350, completion_tokens: 50, prompt_tokens_details: { cached_tokens: 256 } },
      ext: { tool_calls: [{ name: 'read_pages', arguments: read.arguments, error: null }] },
    });
  });

  it.each([
    { wholeDocumentTokens: null, letters: 100, isWhole: true },
    { wholeDocumentTokens: null, letters: 101, isWhole: false },
    { wholeDocumentTokens: 20, letters: 40, isWhole: true },
    { wholeDocumentTokens: 20, letters: 41, isWhole: false },
    { wholeDocumentTokens: 1_000, letters: 101, isWhole: false },
  ])('shows a document of $letters bytes whole to a model that reads $wholeDocumentTokens tokens: $isWhole', (row) => {
    const text = 'a'.repeat(row.letters);
    const documents = [
      { name: 'a', kind: 'pages', text, pages: [{ number: 1, text, start: 0 }] } as unknown as Document,
    ];
    const cardOf = { contextTokens: 100, wholeDocumentTokens: row.wholeDocumentTokens };
    expect(showsWhole({ maxToolCalls: 4 } as AnalysisRequest, documents, cardOf)).toBe(row.isWhole);
    expect(showsWhole({ maxToolCalls: null } as AnalysisRequest, documents, cardOf)).toBe(true);
  });

  it('answers an analysis with checked citations, coverage, usage and notice', async () => {
    const answer = { answer: '60 days', citations: [{ document: 1, page: 2, quote: 'sixty days' }], found: true };
    const { run, asked } = setUp(() => ({ content: JSON.stringify(answer) }));
    const { statusCode, body } = await run(analysis);
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({
      object: 'analysis',
      version: 1,
      status: 'completed',
      answer: '60 days',
      found: true,
      parsed: true,
      citations: [{ document: 1, page: 2, quote: 'sixty days', verified: true }],
      coverage: { pages_total: 2, pages_read: 2, skipped: [] },
      reasoning_content: 'Look: page 2',
      usage: { prompt_tokens: 900, total_tokens: 940, prompt_tokens_details: { cached_tokens: 768 } },
      ext: {
        attempts: 1,
        resumed_from: null,
        resumed: null,
        wasted_tokens: 0,
        notice: 'weights are random',
        raw: null,
      },
    });
    expect(asked[0]).toMatchObject({
      tenant: 'default',
      sharedMessages: 2,
      sampling: { temperature: 0, seed: 77 },
      stream: false,
      format: { type: 'json-schema' },
    });
  });

  it('puts everything that varies behind the shared messages', async () => {
    const { run, asked } = setUp(() => ({}));
    await run(analysis);
    await run({ ...analysis, question: 'Another?', seed: 5 }, '/v1/analyses', { name: 'batch_2/9' });
    const shared = asked.map(({ messages, sharedMessages }) => JSON.stringify(messages.slice(0, sharedMessages)));
    expect(shared[0]).toBe(shared[1]);
    expect(asked[1]?.sampling.seed).toBe(5);
  });

  it('asks before the documents where the model reads so, and with tools never', async () => {
    const { run, asked } = setUp(() => ({}), { questionFirst: true });
    await run(analysis);
    await run({ ...analysis, tools: true });
    const starts = asked.map(({ messages }) => messages.map(({ content }) => content?.slice(0, 9)));
    expect(starts[0]).toEqual(['You read ', 'Question:', 'Document ']);
    expect(starts[1]).toEqual(['You read ', 'Document ', 'Question:']);
    expect(asked.map(({ sharedMessages }) => sharedMessages)).toEqual([1, 2]);
  });

  it('parses a document once for many questions', async () => {
    const { run, loads } = setUp(() => ({}));
    await run(analysis);
    await run(analysis);
    expect(loads).toEqual([fileId]);
  });

  it('keeps an answer that is no JSON as a finished line', async () => {
    const { run } = setUp(() => ({ content: '{"answer":"cut', finishReason: 'length' }));
    const { statusCode, body } = await run(analysis);
    expect(statusCode).toBe(200);
    expect(body).toMatchObject({
      parsed: false,
      answer: null,
      ext: { raw: '{"answer":"cut' },
      finish_reason: 'length',
    });
  });

  it('answers a chat as OpenAI does, reasoning under both names', async () => {
    const { run, asked } = setUp(() => ({ content: 'Hi' }));
    const { body } = await run({ messages: [{ role: 'user', content: 'Hello' }] }, '/v1/chat/completions');
    expect(body).toMatchObject({
      object: 'chat.completion',
      created: 5,
      choices: [
        {
          finish_reason: 'stop',
          message: { content: 'Hi', reasoning: 'Look: page 2', reasoning_content: 'Look: page 2' },
        },
      ],
    });
    expect(asked[0]).toMatchObject({ sampling: { temperature: 1 }, format: { type: 'text' }, thinkingBudget: null });
  });

  it.each([
    [{ ...analysis, documents: [{ file_id: `file-${'9'.repeat(24)}` }] }, 400, 'document_not_found'],
    [{ ...analysis, documents: [{ name: 'x.txt', text: '   ' }] }, 400, 'invalid_request'],
  ])('makes an error answer of %j', async (body, status, code) => {
    const { run } = setUp(() => ({}));
    const answer = await run(body);
    expect(answer.statusCode).toBe(status);
    expect(answer.body).toMatchObject({ error: { code, type: 'invalid_request_error' } });
  });

  it('throws what is not the fault of the line', async () => {
    const { run } = setUp(() => {
      throw new AppError('transient.store-unreachable', 'gone');
    });
    await expect(run(analysis)).rejects.toMatchObject({ code: 'transient.store-unreachable' });
  });

  it('throws the reason of an aborted signal, whatever failed meanwhile', async () => {
    const abort = new AbortController();
    const { run } = setUp(() => {
      abort.abort(new AppError('cancelled.by-user', 'stop'));
      throw new AppError('input.context-length', 'too long');
    });
    await expect(run(analysis, '/v1/analyses', { signal: abort.signal })).rejects.toMatchObject({
      code: 'cancelled.by-user',
    });
  });

  it('repeats ids of a line that runs again', async () => {
    const { run } = setUp(() => ({}));
    const [first, second] = [await run(analysis), await run(analysis)];
    expect(second.body['id']).toBe(first.body['id']);
  });
});
