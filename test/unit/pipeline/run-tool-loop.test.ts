import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { parseAnalysisRequest } from '../../../src/batch/analysis-request.ts';
import type { GeneratedToolCall, GenerateRequest, GenerateResult } from '../../../src/engine/index.ts';
import { paginate } from '../../../src/pipeline/document/parse-document.ts';
import { buildAnalysisRequest } from '../../../src/pipeline/run-analysis.ts';
import { generateWithTools } from '../../../src/pipeline/run-tool-loop.ts';
import { buildDocumentTools, buildToolRegistry } from '../../../src/pipeline/tools/registry.ts';
import { generateResult } from '../../support/generate-result.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';

const documents = [paginate('lease.md', 'The tenant is Orla.\fThe notice is sixty days.')];
const registry = buildToolRegistry(buildDocumentTools(documents));
const body = { model: 'nano', documents: [{ name: 'a', text: 'b' }], question: 'Notice?', tools: true };
const analysis = parseAnalysisRequest(body, ['nano']);
const line = { name: 'batch_1/0', tenant: 'default', seed: 7, priority: 1, deadlineMs: null };
const request = buildAnalysisRequest(line, analysis, documents, false, { outlineLines: null, questionFirst: true });

const call = (index: number, name: string, args: object): GeneratedToolCall => ({
  id: `functions.${name}:${index}`,
  name,
  arguments: JSON.stringify(args),
});
const calls = (toolCalls: readonly GeneratedToolCall[], more: Partial<GenerateResult> = {}) =>
  generateResult({ toolCalls, finishReason: 'tool_calls', ...more });

function setUp(script: (turn: number) => GenerateResult, journal = new MemoryJournal()) {
  const asked: GenerateRequest[] = [];
  const run = (maxCalls = 8, more: Partial<GenerateRequest> = {}) =>
    generateWithTools(
      async (one) => {
        asked.push(one);
        return script(asked.length - 1);
      },
      { ...request, ...more },
      registry,
      maxCalls,
      { signal: new AbortController().signal, onProgress: () => {}, journal },
    );
  return { asked, run, journal };
}

describe('generateWithTools', () => {
  it('runs calls and asks again with their results, until there is an answer', async () => {
    const { run, asked } = setUp((turn) => {
      if (turn === 0) return calls([call(0, 'search_document', { query: 'notice' })], { reasoning: 'Look: notice' });
      if (turn === 1) return calls([call(1, 'calculate', { expression: '2 * 30' }), call(2, 'calculate', {})]);
      return generateResult({ content: '{}', reasoning: 'So: 60' });
    });
    const { generation, uses } = await run();
    expect(uses.map(({ result }) => result)).toEqual([
      '[1, p. 2] The notice is sixty days.',
      '60',
      expect.stringMatching(/^error: expression is nothing/),
    ]);
    expect(asked.map(({ id }) => id)).toEqual(['batch_1/0', 'batch_1/0/turn-1', 'batch_1/0/turn-2']);
    const [, second, third] = asked;
    expect(second?.messages.slice(0, 3)).toEqual(request.messages);
    expect(second?.messages.slice(3)).toMatchObject([
      { role: 'assistant', reasoning: 'Look: notice', toolCalls: [{ id: 'functions.search_document:0' }] },
      { role: 'tool', toolCallId: 'functions.search_document:0', content: '[1, p. 2] The notice is sixty days.' },
    ]);
    expect(third?.messages.slice(6).map(({ content }) => content)).toEqual([uses[1]?.result, uses[2]?.result]);
    expect(asked.every(({ tools, sharedMessages }) => tools?.length === 3 && sharedMessages === 2)).toBe(true);
    expect(asked.every((one) => one.argumentSchemas === registry.argumentSchemas)).toBe(true);
    expect(generation.result).toMatchObject({ content: '{}', reasoning: 'Look: notice\nLook: page 2\nSo: 60' });
    expect(generation.earlier).toHaveLength(2);
  });

  it('takes the tools away when all calls are made, and refuses those of the same turn that are too many', async () => {
    const many = [0, 1, 2].map((index) => call(index, 'calculate', { expression: `${index}` }));
    const { run, asked } = setUp((turn) => (turn === 0 ? calls(many) : generateResult({ content: 'done' })));
    const { uses, generation } = await run(2);
    expect(uses.map(({ result }) => result)).toEqual(['0', '1', expect.stringMatching(/^error: no more tool calls/)]);
    expect(asked[1]?.tools).toBeNull();
    expect(generation.result.content).toBe('done');
  });

  it('counts tokens over all turns, and keeps an eighth for an answer without tools', async () => {
    const { run, asked } = setUp((turn) =>
      turn === 3
        ? generateResult({ content: 'answer', completionTokens: 9 })
        : calls([call(turn, 'calculate', { expression: '1' })], { completionTokens: turn === 2 ? 8 : 40 }),
    );
    const { generation } = await run(100, { maxTokens: 100, thinkingBudget: 50 });
    expect(asked.map(({ maxTokens, thinkingBudget, tools }) => [maxTokens, thinkingBudget, tools !== null])).toEqual([
      [88, 44, true],
      [48, 24, true],
      [8, 4, true],
      [12, 6, false],
    ]);
    expect(asked[3]?.messages).toHaveLength(request.messages.length + 6);
    expect(generation.result.content).toBe('answer');
  });

  it('drops a turn that ran on until its tokens were used up, and asks for the answer', async () => {
    const { run, asked } = setUp((turn) => {
      if (turn === 0) return calls([call(0, 'calculate', { expression: '1' })], { completionTokens: 10 });
      if (turn === 1) return generateResult({ reasoning: 'and on', finishReason: 'length', completionTokens: 78 });
      return generateResult({ content: 'answer', completionTokens: 5 });
    });
    const { generation, uses } = await run(100, { maxTokens: 100 });
    expect(asked.map(({ maxTokens, tools }) => [maxTokens, tools !== null])).toEqual([
      [88, true],
      [78, true],
      [12, false],
    ]);
    expect(asked[2]?.messages).toEqual(asked[1]?.messages);
    expect(uses).toHaveLength(1);
    expect(generation).toMatchObject({ result: { content: 'answer', finishReason: 'stop' }, earlier: [{}, {}] });
  });

  it.each([
    ['the window', 100, 20],
    ['so few tokens that none can be kept', 7, 7],
  ])('ends with what is there when it was cut by %s', async (_, maxTokens, completionTokens) => {
    const { run, asked } = setUp(() => generateResult({ content: 'a', finishReason: 'length', completionTokens }));
    const { generation } = await run(100, { maxTokens });
    expect(asked).toHaveLength(1);
    expect(generation.result).toMatchObject({ content: 'a', finishReason: 'length' });
  });

  it('goes on in the middle of a long chain under a new owner, with every turn asked once', async () => {
    const total = 300;
    const script = (turn: number): GenerateResult =>
      turn < total
        ? calls([call(turn, 'calculate', { expression: `${turn} + 1` })], { completionTokens: 1 })
        : generateResult({ content: 'end' });
    const journal = new MemoryJournal();
    let left = 120;
    const dies = setUp((turn) => {
      if (left-- === 0) throw new AppError('ownership.lost', 'another worker has the unit');
      return script(turn);
    }, journal);
    await expect(dies.run(total, { maxTokens: null })).rejects.toMatchObject({ code: 'ownership.lost' });
    const next = setUp((turn) => script(turn + 120), journal);
    const { uses, generation } = await next.run(total, { maxTokens: null });
    expect(next.asked).toHaveLength(total + 1 - 120);
    expect(uses.map(({ result }) => result)).toEqual(Array.from({ length: total }, (_, index) => `${index + 1}`));
    expect(generation.result.content).toBe('end');
  });
});
