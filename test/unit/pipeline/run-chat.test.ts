import { describe, expect, it } from 'vitest';
import { AppError } from '../../../src/base/errors.ts';
import { parseLineRequest } from '../../../src/batch/index.ts';
import type { GenerateDelta, GenerateRequest, GenerateResult } from '../../../src/engine/index.ts';
import { LineRunner, type LineTask, type OpenDeltas } from '../../../src/pipeline/index.ts';
import { modelCard } from '../../support/build-api.ts';
import { generateResult } from '../../support/generate-result.ts';
import { MemoryJournal } from '../../support/memory-journal.ts';

interface Asked {
  readonly request: GenerateRequest;
  readonly signal: AbortSignal;
  readonly onDelta: ((delta: GenerateDelta) => void) | undefined;
}

function setUp(generate: (asked: Asked, index: number) => Promise<Partial<GenerateResult>> | Partial<GenerateResult>) {
  const asked: Asked[] = [];
  const runner = new LineRunner({
    generate: async (request, { signal, onDelta }) => {
      const one = { request, signal, onDelta };
      asked.push(one);
      return generateResult(await generate(one, asked.length - 1));
    },
    embed: () => Promise.reject(new Error('no embedding is asked for here')),
    loadDocument: () => Promise.reject(new Error('no document is asked for here')),
    card: modelCard,
    clock: { nowMs: () => 5_000, sleep: () => Promise.resolve() },
  });
  const run = (body: object, openDeltas: OpenDeltas | null = null) => {
    const chat = { model: modelCard.id, messages: [{ role: 'user', content: 'Hello' }], ...body };
    const task: LineTask = {
      name: 'batch_1/0',
      tenant: 'default',
      request: parseLineRequest('/v1/chat/completions', chat, [modelCard.id], { streaming: true }),
      seed: 77,
      priority: 0,
      deadlineMs: 90_000,
      signal: new AbortController().signal,
      onProgress: () => {},
      journal: new MemoryJournal(),
      openDeltas,
    };
    return runner.run(task);
  };
  return { run, asked };
}

describe('a chat', () => {
  it('asks the engine for everything the caller asked for', async () => {
    const { run, asked } = setUp(() => ({}));
    const tools = [{ type: 'function', function: { name: 'look' } }];
    await run({
      tools,
      tool_choice: 'required',
      parallel_tool_calls: false,
      temperature: 0.5,
      top_k: 3,
      logit_bias: { 9: -100 },
      logprobs: true,
      top_logprobs: 2,
      stop: 'end',
      max_completion_tokens: 9,
    });
    expect(asked[0]?.request).toMatchObject({
      id: 'batch_1/0',
      tenant: 'default',
      tools,
      toolChoice: { type: 'required' },
      parallelToolCalls: false,
      sampling: { temperature: 0.5, topK: 3, logitBias: [[9, -100]], seed: 77 },
      logprobs: 2,
      stop: ['end'],
      maxTokens: 9,
      sharedMessages: 0,
      stream: false,
      checkpointEvery: { tokens: 64, ms: 5_000 },
      resume: null,
    });
  });

  it('answers several choices in order, reading the prompt once', async () => {
    const { run, asked } = setUp((_asked, index) => ({
      content: `answer ${index}`,
      cachedTokens: index === 0 ? 256 : 896,
      completionTokens: 10 + index,
    }));
    const { body } = await run({ n: 3 });
    expect(body['choices']).toMatchObject([
      { index: 0, message: { content: 'answer 0' } },
      { index: 1, message: { content: 'answer 1' } },
      { index: 2, message: { content: 'answer 2' } },
    ]);
    expect(body['usage']).toEqual({
      prompt_tokens: 900,
      completion_tokens: 33,
      total_tokens: 933,
      prompt_tokens_details: { cached_tokens: 256 },
      completion_tokens_details: { reasoning_tokens: 30 },
    });
    const requests = asked.map(({ request }) => request);
    expect(requests.map(({ sharedMessages }) => sharedMessages)).toEqual([1, 1, 1]);
    expect(new Set(requests.map(({ id }) => id)).size).toBe(3);
  });

  it('derives the seeds of choices from the seed of the line, the same in every run', async () => {
    const seedsOf = async (body: object): Promise<readonly number[]> => {
      const { run, asked } = setUp(() => ({}));
      await run(body);
      return asked.map(({ request }) => request.sampling.seed);
    };
    const three = await seedsOf({ n: 3, seed: 5 });
    expect(new Set(three).size).toBe(3);
    // the first answer does not depend on how many are wanted
    expect(three[0]).toBe(5);
    expect((await seedsOf({ n: 8, seed: 5 })).slice(0, 3)).toEqual(three);
    expect(await seedsOf({ n: 3, seed: 6 })).not.toContain(three[1]);
    // part of the contract: a resumed run on another version must draw the same
    expect(three).toEqual([5, 981366326, 778004126]);
  });

  it('runs choices side by side, and fails with the first that fails, stopping the others', async () => {
    const { run, asked } = setUp(
      ({ signal }, index) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
          if (index === 1) queueMicrotask(() => reject(new AppError('input.context-length', 'too long')));
        }),
    );
    expect(await run({ n: 3 })).toMatchObject({
      statusCode: 400,
      body: { error: { code: 'context_length_exceeded' } },
    });
    expect(asked.map(({ signal }) => signal.aborted)).toEqual([true, true, true]);
  });

  it('names the choices that break their schema', async () => {
    const { run } = setUp((_asked, index) => (index === 1 ? { schemaError: 'is wrong', finishReason: 'length' } : {}));
    const { body } = await run({ n: 2, response_format: { type: 'json_object' } });
    expect(body['ext']).toMatchObject({ schema_error: 'choices[1]: is wrong' });
  });

  it('reports log-probabilities in the form of OpenAI', async () => {
    const euro = [0xe2, 0x82, 0xac];
    const { run } = setUp(() => ({
      content: '€',
      logprobs: [
        { id: 1, bytes: euro.slice(0, 2), logprob: -0.5, top: [{ id: 1, bytes: euro.slice(0, 2), logprob: -0.5 }] },
        JSON.parse(JSON.stringify({ id: 2, bytes: euro.slice(2), logprob: Number.NEGATIVE_INFINITY, top: [] })),
      ],
    }));
    const { body } = await run({ logprobs: true, top_logprobs: 1 });
    expect(JSON.parse(JSON.stringify(body['choices']))).toMatchObject([
      {
        logprobs: {
          content: [
            {
              token: '\uFFFD',
              logprob: -0.5,
              bytes: [0xe2, 0x82],
              top_logprobs: [{ token: '\uFFFD', logprob: -0.5, bytes: [0xe2, 0x82] }],
            },
            { token: '\uFFFD', logprob: -9999, bytes: [0xac], top_logprobs: [] },
          ],
          refusal: null,
        },
      },
    ]);
  });

  it('passes tool calls on', async () => {
    const toolCalls = [{ id: 'functions.look:0', name: 'look', arguments: '{"page":3}' }];
    const { run } = setUp(() => ({ toolCalls, finishReason: 'tool_calls' }));
    const { body } = await run({ tools: [{ type: 'function', function: { name: 'look' } }] });
    expect(body['choices']).toMatchObject([
      {
        finish_reason: 'tool_calls',
        message: {
          tool_calls: [
            { id: 'functions.look:0', type: 'function', function: { name: 'look', arguments: '{"page":3}' } },
          ],
        },
      },
    ]);
  });

  it('hands deltas on by choice, and only for a caller who asked for them', async () => {
    const delta = { reasoning: '', content: 'x', toolCalls: [], logprobs: null, completionTokens: 1 };
    const { run, asked } = setUp(({ onDelta }) => {
      onDelta?.(delta);
      return {};
    });
    const heard: number[] = [];
    const listen: OpenDeltas = (choice) => () => heard.push(choice);
    await run({ n: 2, stream: true }, listen);
    expect(heard.toSorted()).toEqual([0, 1]);
    expect(asked.map(({ request }) => request.stream)).toEqual([true, true]);
    await run({}, listen);
    expect(heard).toHaveLength(2);
    expect(asked.at(-1)?.onDelta).toBeUndefined();
  });
});
