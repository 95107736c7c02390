import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RunningStack } from '../support/stack-client.ts';

/** The stock client against the whole product, model included: the same answer whichever way it is asked for. */
let stack: RunningStack;

beforeAll(async () => {
  stack = await RunningStack.start();
});

afterAll(async () => {
  await stack?.remove();
});

const ask = {
  model: 'quire-nano',
  messages: [{ role: 'user' as const, content: 'Name the parties.' }],
  max_completion_tokens: 32,
  temperature: 1,
  seed: 11,
};

const tools = [
  {
    type: 'function' as const,
    function: {
      name: 'read_pages',
      parameters: {
        type: 'object',
        properties: { document: { type: 'integer', minimum: 1, maximum: 9 }, whole: { type: 'boolean' } },
        required: ['document', 'whole'],
        additionalProperties: false,
      },
    },
  },
];

type WithReasoning = { readonly reasoning_content?: string };

async function collect(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
  return {
    chunks,
    content: deltas.map(({ content }) => content ?? '').join(''),
    reasoning: deltas.map((delta) => (delta as WithReasoning).reasoning_content ?? '').join(''),
  };
}

describe('one answer', () => {
  it('is the same streamed and whole, usage included', async () => {
    const { chat } = stack.client;
    const whole = await chat.completions.create(ask);
    const stream = await chat.completions.create({
      ...ask,
      stream: true,
      stream_options: { include_usage: true },
    });
    const { chunks, content, reasoning } = await collect(stream);
    expect(content).toBe(whole.choices[0]?.message.content);
    expect(reasoning).toBe((whole.choices[0]?.message as WithReasoning | undefined)?.reasoning_content);
    expect(chunks.at(-1)?.usage).toMatchObject({
      prompt_tokens: whole.usage?.prompt_tokens,
      completion_tokens: whole.usage?.completion_tokens,
    });
    expect(chunks.findLast(({ choices }) => choices.length > 0)?.choices[0]?.finish_reason).toBe(
      whole.choices[0]?.finish_reason,
    );
    // it came in pieces, not in one
    expect(chunks.length).toBeGreaterThan(5);
  });

  it('is the same alone and as the first of several', async () => {
    const { chat } = stack.client;
    const [alone, several] = [await chat.completions.create(ask), await chat.completions.create({ ...ask, n: 2 })];
    expect(several.choices.map(({ index }) => index)).toEqual([0, 1]);
    expect(several.choices[0]?.message).toEqual(alone.choices[0]?.message);
    expect(several.choices[1]?.message).not.toEqual(alone.choices[0]?.message);
    expect(several.usage?.prompt_tokens).toBe(alone.usage?.prompt_tokens);
  });

  it('has log-probabilities of its content, streamed and whole', async () => {
    const { chat } = stack.client;
    const body = { ...ask, logprobs: true, top_logprobs: 3, reasoning_effort: 'none' as const };
    const whole = await chat.completions.create(body);
    const [choice] = whole.choices;
    const tokens = choice?.logprobs?.content ?? [];
    expect(tokens.length).toBeGreaterThan(0);
    expect(Buffer.from(tokens.flatMap(({ bytes }) => bytes ?? [])).toString()).toBe(choice?.message.content);
    for (const { logprob, top_logprobs: top } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(3);
      expect(top.map((one) => one.logprob)).toEqual(top.map((one) => one.logprob).toSorted((a, b) => b - a));
    }
    const { chunks } = await collect(await chat.completions.create({ ...body, stream: true }));
    const streamed = chunks.flatMap(({ choices }) => choices.flatMap(({ logprobs }) => logprobs?.content ?? []));
    expect(streamed).toEqual(tokens);
  });
});

describe('a call of a tool', () => {
  it.each(['required', { type: 'function' as const, function: { name: 'read_pages' } }] as const)(
    'is made when %j says so, streamed and whole, and keeps its schema',
    async (choice) => {
      const { chat } = stack.client;
      const body = {
        ...ask,
        tools,
        tool_choice: choice,
        parallel_tool_calls: false,
        max_completion_tokens: 96,
        thinking_budget: 8,
      };
      const whole = await chat.completions.create(body as OpenAI.ChatCompletionCreateParamsNonStreaming);
      const [call] = whole.choices[0]?.message.tool_calls ?? [];
      expect(whole.choices[0]?.finish_reason).toBe('tool_calls');
      expect(call).toMatchObject({ id: 'functions.read_pages:0', type: 'function', function: { name: 'read_pages' } });
      const called = call?.type === 'function' ? JSON.parse(call.function.arguments) : null;
      expect(called).toEqual({ document: expect.any(Number), whole: expect.any(Boolean) });
      const helper = chat.completions.stream(body as Parameters<typeof chat.completions.stream>[0]);
      const streamed = await helper.finalChatCompletion();
      expect(streamed.choices[0]?.message.tool_calls).toMatchObject([
        { id: call?.id, function: { arguments: JSON.stringify(called) } },
      ]);
    },
  );
});

describe('embeddings', () => {
  it('are of length 1, the same as floats, as base64 and in other company, and different for other texts', async () => {
    const { embeddings } = stack.client;
    const model = 'quire-nano';
    const floats = await embeddings.create({ model, input: ['a lease', 'a recipe'], encoding_format: 'float' });
    const bytes = await embeddings.create({ model, input: ['a lease', 'a recipe'] });
    const alone = await embeddings.create({ model, input: 'a lease', encoding_format: 'float' });
    const vectors = floats.data.map(({ embedding }) => Float32Array.from(embedding));
    expect(bytes.data.map(({ embedding }) => Float32Array.from(embedding))).toEqual(vectors);
    expect(Float32Array.from(alone.data[0]?.embedding ?? [])).toEqual(vectors[0]);
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 4);
    expect(vectors[1]).not.toEqual(vectors[0]);
    expect(floats.usage.prompt_tokens).toBeGreaterThan(alone.usage.prompt_tokens);
  });

  it('have the dimensions of the model and no others', async () => {
    const { embeddings } = stack.client;
    const text = { model: 'quire-nano', input: 'x' };
    const width = (await embeddings.create(text)).data[0]?.embedding.length ?? 0;
    expect((await embeddings.create({ ...text, dimensions: width })).data[0]?.embedding).toHaveLength(width);
    await expect(embeddings.create({ ...text, dimensions: width + 1 })).rejects.toThrow(OpenAI.BadRequestError);
  });
});

describe('a caller who leaves in the middle of a stream', () => {
  it('leaves an engine that answers the next one', async () => {
    const { chat } = stack.client;
    const stream = await chat.completions.create({ ...ask, max_completion_tokens: 2_000, stream: true });
    let seen = 0;
    for await (const _chunk of stream) if (++seen > 4) break;
    expect((await chat.completions.create(ask)).choices[0]?.finish_reason).toMatch(/stop|length/);
  });
});
