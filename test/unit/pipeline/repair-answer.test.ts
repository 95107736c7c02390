import { describe, expect, it } from 'vitest';
import type { ErrorCode } from '../../../src/base/error-codes.ts';
import { AppError } from '../../../src/base/errors.ts';
import type { ChatRequest } from '../../../src/batch/index.ts';
import { parseLineRequest } from '../../../src/batch/index.ts';
import type { GenerateRequest, GenerateResult } from '../../../src/engine/index.ts';
import type { Generations } from '../../../src/pipeline/generation.ts';
import { generateSound } from '../../../src/pipeline/repair-answer.ts';
import { buildChatRequest } from '../../../src/pipeline/run-chat.ts';
import { presentExt, presentUsage } from '../../../src/pipeline/wire.ts';
import { modelCard } from '../../support/build-api.ts';
import { generateResult } from '../../support/generate-result.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';
import { checkpointOf } from '../../support/sample-checkpoints.ts';

const schema = { type: 'array', uniqueItems: true };

function chatOf(more: object = {}): ChatRequest {
  const body = {
    model: 'nano',
    messages: [{ role: 'user', content: 'Name three colours' }],
    response_format: { type: 'json_schema', json_schema: { name: 'colours', schema } },
    ...more,
  };
  const request = parseLineRequest('/v1/chat/completions', body, ['nano'], { streaming: true });
  if (request.type !== 'chat') throw new Error('not a chat');
  return request.chat;
}

const line = { name: 'b/0', tenant: 'default', seed: 7, priority: 1, deadlineMs: null };
const broken: Partial<GenerateResult> = { content: '["red","red"]', schemaError: 'must NOT have duplicate items' };

/** An engine that answers in the order given. */
async function run(
  answers: readonly (Partial<GenerateResult> | AppError)[],
  more: object = {},
  journal = new MemoryJournal(),
) {
  const asked: GenerateRequest[] = [];
  const generate = async (request: GenerateRequest): Promise<GenerateResult> => {
    asked.push(request);
    const answer = answers[asked.length - 1];
    if (answer === undefined) throw new Error(`request ${asked.length} was not expected`);
    if (answer instanceof AppError) throw answer;
    return generateResult(answer);
  };
  const generation = await generateSound(generate, buildChatRequest(line, chatOf(more), 0), {
    signal: new AbortController().signal,
    onProgress: () => {},
    journal,
  });
  const generations: Generations = [generation];
  return { asked, generation, ext: presentExt(generations, modelCard), usage: presentUsage(generations) };
}

describe('generateSound', () => {
  it('asks nothing more of an answer that keeps its schema', async () => {
    const { asked, ext } = await run([{ content: '["red"]' }]);
    expect(asked).toHaveLength(1);
    expect(ext).not.toHaveProperty('repaired');
    expect(ext).not.toHaveProperty('schema_error');
  });

  it('goes on with the repair alone when the answer was there before the worker ended', async () => {
    const past = { retries: 0, resumed: null, wastedTokens: 0 } as const;
    const answer = generateResult({ ...broken, completionTokens: 40 });
    const journal = new MemoryJournal(2, {
      'b/0': { ...past, type: 'ended', result: answer },
      'b/0/repair': { ...past, type: 'running', wastedTokens: 3, checkpoint: checkpointOf(8) },
    });
    const mended = { content: '["red","blue"]', completionTokens: 12, resumed: 'exact', resumedTokens: 8 } as const;
    const { asked, generation, ext, usage } = await run([mended], {}, journal);
    expect(asked.map(({ id, resume }) => [id, resume?.tokenIds.length])).toEqual([['b/0/repair', 8]]);
    expect(generation.result.content).toBe('["red","blue"]');
    expect(ext).toMatchObject({ attempts: 2, resumed_from: 48, resumed: 'exact', wasted_tokens: 3, repaired: true });
    expect(usage).toMatchObject({ completion_tokens: 52 });
  });

  it('asks once for a mended answer, naming what is wrong, and adds up what both took', async () => {
    const { asked, generation, ext, usage } = await run([
      broken,
      {
        content: '["red","blue"]',
        reasoning: '',
        promptTokens: 950,
        cachedTokens: 896,
        completionTokens: 12,
        reasoningTokens: 1,
      },
    ]);
    const [first, second] = asked;
    expect(second).toMatchObject({
      id: 'b/0/repair',
      sharedMessages: 1,
      thinkingBudget: 0,
      format: { type: 'json-schema', schema },
      maxTokens: first?.maxTokens,
    });
    expect(second?.messages.slice(0, 1)).toEqual(first?.messages);
    expect(second?.messages.slice(1)).toMatchObject([
      { role: 'assistant', content: '["red","red"]' },
      { role: 'user', content: expect.stringContaining('must NOT have duplicate items') },
    ]);
    expect(second?.sampling.seed).not.toBe(first?.sampling.seed);
    expect(generation.result).toMatchObject({
      content: '["red","blue"]',
      reasoning: 'Look: page 2',
      schemaError: null,
    });
    expect(ext).toMatchObject({ repaired: true });
    expect(ext).not.toHaveProperty('schema_error');
    expect(usage).toEqual({
      prompt_tokens: 900 + 950,
      completion_tokens: 40 + 12,
      total_tokens: 1_850 + 52,
      prompt_tokens_details: { cached_tokens: 768 + 896 },
      completion_tokens_details: { reasoning_tokens: 10 + 1 },
    });
  });

  it.each<[string, Partial<GenerateResult>]>([
    ['breaks it again', { content: '["blue","blue"]', schemaError: 'again' }],
    ['is cut off', { content: '["blue"', finishReason: 'length' }],
    ['calls a tool instead', { finishReason: 'tool_calls' }],
  ])('keeps the first answer and its fault when the second %s', async (_what, second) => {
    const { generation, ext, usage } = await run([broken, second]);
    expect(generation.result.content).toBe('["red","red"]');
    expect(ext).toMatchObject({ schema_error: 'must NOT have duplicate items' });
    expect(ext).not.toHaveProperty('repaired');
    expect(usage).toMatchObject({ completion_tokens: 80 });
  });

  it.each<ErrorCode>(['input.context-length', 'bug.engine-crash'])(
    'keeps the first answer when the second request ends with %s',
    async (code) => {
      const { ext, usage } = await run([broken, new AppError(code, 'no')]);
      expect(ext).toMatchObject({ schema_error: 'must NOT have duplicate items' });
      expect(usage).toMatchObject({ completion_tokens: 40 });
    },
  );

  it('throws what is worth trying the line again for', async () => {
    await expect(run([broken, new AppError('capacity.engine-busy', 'full')])).rejects.toMatchObject({
      code: 'capacity.engine-busy',
    });
  });

  it.each<[string, Partial<GenerateResult>, object]>([
    ['cut off', { ...broken, finishReason: 'length' }, {}],
    ['a call of tools', { ...broken, finishReason: 'tool_calls' }, {}],
    ['streamed', broken, { stream: true }],
  ])('does not mend an answer that is %s', async (_what, answer, more) => {
    const { asked, ext } = await run([answer], more);
    expect(asked).toHaveLength(1);
    expect(ext).toMatchObject({ schema_error: 'must NOT have duplicate items' });
  });
});
