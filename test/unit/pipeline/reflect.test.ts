import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { parseLineRequest } from '../../../src/batch/index.ts';
import type { GenerateRequest, GenerateResult, ModelCard } from '../../../src/engine/index.ts';
import { LineRunner } from '../../../src/pipeline/index.ts';
import { generateResult } from '../../support/generate-result.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';

const card = { id: 'nano', contextTokens: 4_096, notice: null, digest: 'd'.repeat(64) } as ModelCard;
const document = { name: 'lease.md', text: 'Rent is EUR 5.\fNotice is sixty days. Rent of the hall is EUR 9.' };

const answerOf = (answer: string, page: number, quote: string) => ({
  answer,
  citations: [{ document: 1, page, quote }],
  found: true,
});
const wrong = JSON.stringify(answerOf('EUR 5', 1, 'Rent is EUR 5'));
const right = JSON.stringify({ ...answerOf('EUR 9', 2, 'Rent of the hall is EUR 9'), corrected: true });

/** An engine that answers in the order given. */
async function run(
  replies: readonly (Partial<GenerateResult> | AppError)[],
  more: object = {},
  journal = new MemoryJournal(),
) {
  const asked: GenerateRequest[] = [];
  const runner = new LineRunner({
    generate: async (request) => {
      asked.push(request);
      const reply = replies[asked.length - 1];
      if (reply === undefined) throw new Error(`request ${asked.length} was not expected`);
      if (reply instanceof AppError) throw reply;
      return generateResult(reply);
    },
    embed: () => Promise.reject(new Error('no embedding is asked for here')),
    loadDocument: () => Promise.reject(new Error('the text is in the request')),
    card,
    clock: { nowMs: () => 5_000, sleep: () => Promise.resolve() },
  });
  const body = { model: 'nano', documents: [document], question: 'Rent of the hall?', reflect: true, ...more };
  const answer = await runner.run({
    name: 'b/0',
    tenant: 'default',
    request: parseLineRequest('/v1/analyses', body, ['nano']),
    seed: 7,
    priority: 1,
    deadlineMs: null,
    signal: new AbortController().signal,
    onProgress: () => {},
    journal,
    openDeltas: null,
  });
  return { asked, body: answer.body };
}

describe('an analysis with reflect', () => {
  it('has the draft checked in the same conversation, and answers what the check says', async () => {
    const { asked, body } = await run([
      { content: wrong, reasoning: 'Look: rent', promptTokens: 300, completionTokens: 40, cachedTokens: 256 },
      { content: right, reasoning: 'Check: page 1', promptTokens: 390, completionTokens: 50, cachedTokens: 300 },
    ]);
    const [first, second] = asked;
    expect([first?.id, second?.id]).toEqual(['b/0', 'b/0/reflection']);
    expect(second?.messages.slice(0, 3)).toEqual(first?.messages);
    expect(second?.messages.slice(3).map(({ role, content }) => [role, content])).toEqual([
      ['assistant', wrong],
      ['user', 'Check each citation against its page. Correct what is wrong; answer again.'],
    ]);
    expect(body).toMatchObject({
      answer: 'EUR 9',
      citations: [{ page: 2, verified: true }],
      reasoning_content: 'Look: rent\nCheck: page 1',
      usage: { prompt_tokens: 350, completion_tokens: 90, prompt_tokens_details: { cached_tokens: 256 } },
      ext: { reflection: { outcome: 'changed', draft: { answer: 'EUR 5', citations: [{ page: 1 }] } } },
    });
    const draftSchema = first?.format.type === 'json-schema' ? first.format.schema : {};
    const checkSchema = second?.format.type === 'json-schema' ? second.format.schema : {};
    expect(Object.keys(draftSchema['properties'] as object)).toEqual(['answer', 'citations', 'found']);
    expect(Object.keys(checkSchema['properties'] as object)).toEqual(['answer', 'citations', 'found', 'corrected']);
  });

  it('shares tokens and thoughts between draft and check', async () => {
    const replies = [{ content: wrong, completionTokens: 40 }, { content: right }];
    const { asked } = await run(replies, { max_completion_tokens: 100, thinking_budget: 45 });
    expect(asked.map(({ maxTokens, thinkingBudget }) => [maxTokens, thinkingBudget])).toEqual([
      [100, 45],
      [60, 30],
    ]);
  });

  it('says that a draft was kept, whatever the white space', async () => {
    const { body } = await run([{ content: wrong }, { content: JSON.stringify(JSON.parse(wrong), null, 1) }]);
    expect(body).toMatchObject({ answer: 'EUR 5', ext: { reflection: { outcome: 'kept' } } });
    expect(body['ext']).not.toHaveProperty('reflection.draft');
  });

  it.each([
    ['is cut', { content: '{"answer":"EUR', finishReason: 'length' as const }],
    ['breaks its schema and is not mended', { content: '{}', schemaError: 'no answer' }],
    ['does not fit the window', new AppError('input.context-length', 'too long')],
  ])('leaves the draft when the check %s', async (_, reply) => {
    const { body } = await run([{ content: wrong }, reply, { content: '{}', schemaError: 'no answer' }]);
    expect(body).toMatchObject({ answer: 'EUR 5', parsed: true, ext: { reflection: { outcome: 'void' } } });
    expect(body).toMatchObject({ finish_reason: 'stop' });
    expect(body['ext']).not.toHaveProperty('schema_error');
  });

  it('does not check a draft that was cut, or that left no tokens', async () => {
    const cut = await run([{ content: '{"answer"', finishReason: 'length' }]);
    const spent = await run([{ content: wrong, completionTokens: 40 }], { max_completion_tokens: 40 });
    for (const { asked, body } of [cut, spent]) {
      expect(asked).toHaveLength(1);
      expect(body['ext']).not.toHaveProperty('reflection');
    }
  });

  it('keeps the conversation of the tools, and the calls that are left', async () => {
    const call = { id: 'functions.calculate:0', name: 'calculate', arguments: '{"expression":"4 + 5"}' };
    const again = { ...call, id: 'functions.calculate:1' };
    const { asked, body } = await run(
      [
        { toolCalls: [call], finishReason: 'tool_calls' },
        { content: wrong },
        { toolCalls: [again], finishReason: 'tool_calls' },
        { content: right },
      ],
      { tools: true, max_tool_calls: 2 },
    );
    expect(asked.map(({ id, tools }) => [id, tools !== null])).toEqual([
      ['b/0', true],
      ['b/0/turn-1', true],
      ['b/0/reflection', true],
      ['b/0/reflection/turn-1', false],
    ]);
    expect(asked[2]?.messages.slice(3).map(({ role }) => role)).toEqual(['assistant', 'tool', 'assistant', 'user']);
    expect(body).toMatchObject({ answer: 'EUR 9', ext: { tool_calls: [{}, {}], reflection: { outcome: 'changed' } } });
  });

  it('asks for the check alone when the draft was there before the worker ended', async () => {
    const past = { retries: 0, resumed: null, wastedTokens: 0 } as const;
    const journal = new MemoryJournal(2, {
      'b/0': { ...past, type: 'ended', result: generateResult({ content: wrong }) },
    });
    const { asked, body } = await run([{ content: right }], {}, journal);
    expect(asked.map(({ id }) => id)).toEqual(['b/0/reflection']);
    expect(body).toMatchObject({ answer: 'EUR 9', ext: { attempts: 2 } });
  });

  it('passes on what is worth another try of the line', async () => {
    const away = new AppError('transient.timeout', 'away');
    await expect(run([{ content: wrong }, away])).rejects.toBe(away);
  });
});
