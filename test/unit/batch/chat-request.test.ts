import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../../src/batch/chat-request.ts';

const models = ['quire-nano'];
const body = { model: 'quire-nano', messages: [{ role: 'user', content: 'hello' }] };
const parse = (more: Record<string, unknown> = {}, streaming = false): ReturnType<typeof parseChatRequest> =>
  parseChatRequest({ ...body, ...more }, models, streaming);
const messages = (...list: readonly unknown[]): ReturnType<typeof parseChatRequest>['messages'] =>
  parse({ messages: list }).messages;

describe('parseChatRequest', () => {
  it('fills defaults', () => {
    expect(parse()).toEqual({
      model: 'quire-nano',
      messages: [{ role: 'user', content: 'hello', name: null, reasoning: null, toolCalls: null, toolCallId: null }],
      tools: null,
      toolChoice: { type: 'auto' },
      parallelToolCalls: true,
      maxTokens: null,
      sampling: {
        temperature: 1,
        topP: 1,
        topK: 0,
        minP: 0,
        presencePenalty: 0,
        frequencyPenalty: 0,
        repetitionPenalty: 1,
        logitBias: null,
      },
      seed: null,
      choices: 1,
      logprobs: null,
      stop: [],
      thinkingBudget: null,
      format: { type: 'text' },
      stream: null,
    });
  });

  it('takes values that change nothing as absence, of fields it serves and of others', () => {
    const neutral = {
      stream: false,
      stream_options: null,
      n: 1,
      logprobs: false,
      top_logprobs: 0,
      logit_bias: {},
      presence_penalty: 0,
      frequency_penalty: 0,
      top_k: -1,
      min_p: 0,
      repetition_penalty: 1,
      parallel_tool_calls: true,
      functions: [],
      function_call: 'auto',
      service_tier: 'auto',
      store: false,
      modalities: ['text'],
      user: 'u-1',
      metadata: { a: 'b' },
      prompt_cache_key: 'k',
      tool_choice: 'auto',
      seed: null,
      stop: null,
    };
    expect(parse(neutral)).toEqual(parse());
  });

  it.each([
    ['stream', true, /stream is true; a line of a batch is answered as a whole/],
    ['store', true, /store is true; it is not supported/],
    ['service_tier', 'flex', /service_tier is "flex"/],
    ['function_call', { name: 'a' }, /function_call is an object; it is not supported; use tool_choice/],
    ['functions', [{}], /functions is an array of 1/],
  ])('refuses %s = %j by name', (param, value, message) => {
    expect(() => parse({ [param]: value })).toThrow(
      expect.objectContaining({ code: 'input.unsupported', param, message: expect.stringMatching(message) }),
    );
  });

  it('refuses a field nobody knows by name', () => {
    expect(() => parse({ temprature: 1 })).toThrow(
      expect.objectContaining({ code: 'input.unknown-field', param: 'temprature' }),
    );
    expect(() => messages({ role: 'user', content: 'a', colour: 'red' })).toThrow(
      expect.objectContaining({ code: 'input.unknown-field', param: 'messages[0].colour' }),
    );
  });

  it.each([
    ['temperature', 2.1, 'temperature is 2.1; it must be a number from 0 up to 2'],
    ['temperature', '1', 'temperature is "1"; it must be a number from 0 up to 2'],
    ['top_p', 0, 'top_p is 0; it must be a number above 0 up to 1'],
    ['top_k', -2, 'top_k is -2; it must be a whole number from -1 to 1000000'],
    ['min_p', 1, 'min_p is 1; it must be a number from 0 to below 1'],
    ['presence_penalty', 2.5, 'presence_penalty is 2.5; it must be a number from -2 up to 2'],
    ['frequency_penalty', 'high', 'frequency_penalty is "high"; it must be a number from -2 up to 2'],
    ['repetition_penalty', 0, 'repetition_penalty is 0; it must be a number from 0.1 up to 10'],
    ['n', 9, 'n is 9; it must be a whole number from 1 to 8'],
    ['n', 0, 'n is 0; it must be a whole number from 1 to 8'],
    ['logprobs', 5, 'logprobs is 5; it must be true or false'],
    ['top_logprobs', 3, 'top_logprobs is 3; it needs logprobs true'],
    ['top_logprobs', 21, 'top_logprobs is 21; it must be a whole number from 0 to 20'],
    ['logit_bias', [1], 'logit_bias is an array of 1; it must be an object of token ids and numbers'],
    ['logit_bias', { x: 1 }, 'logit_bias has the key "x"; keys must be token ids, whole numbers from 0'],
    ['logit_bias', { '01': 1 }, 'logit_bias has the key "01"; keys must be token ids, whole numbers from 0'],
    ['logit_bias.7', { 7: -101 }, 'logit_bias.7 is -101; it must be a number from -100 up to 100', 'logit_bias'],
    ['stream', 'yes', 'stream is "yes"; it must be true or false'],
    ['stream_options', { include_usage: true }, 'stream_options needs stream true; leave it out'],
    ['stream_options', true, 'stream_options is true; it must be an object'],
    ['parallel_tool_calls', 1, 'parallel_tool_calls is 1; it must be true or false'],
    ['max_tokens', 0, 'max_tokens is 0; it must be a whole number from 1 to 10000000'],
    ['max_completion_tokens', 1.5, 'max_completion_tokens is 1.5; it must be a whole number from 1 to 10000000'],
    [
      'seed',
      1e300,
      `seed is 1e+300; it must be a whole number from ${-Number.MAX_SAFE_INTEGER} to ${Number.MAX_SAFE_INTEGER}`,
    ],
    ['stop', ['a', 'b', 'c', 'd', 'e'], 'stop is an array of 5; it must be a non-empty string or at most 4 of them'],
    ['stop', '', 'stop is ""; it must be a non-empty string or at most 4 of them'],
    ['messages', [], 'messages is an array of 0; it must be a non-empty array'],
    ['messages', undefined, 'messages is required'],
    ['model', undefined, 'model is required'],
  ])('refuses %s = %j, saying what is allowed', (param, value, message, field = param) => {
    expect(() => parse({ [field]: value })).toThrow(
      expect.objectContaining({ code: 'input.invalid-request', param, message }),
    );
  });

  it('refuses a model that is not served', () => {
    expect(() => parse({ model: 'gpt-9' })).toThrow(
      expect.objectContaining({
        code: 'input.model-not-found',
        param: 'model',
        message: 'the model "gpt-9" does not exist; served here: quire-nano',
      }),
    );
  });

  it.each([null, [], 'text', 7])('refuses a body that is %j', (value) => {
    expect(() => parseChatRequest(value, models, false)).toThrow(
      expect.objectContaining({ code: 'input.invalid-request' }),
    );
  });

  it('reads both names of the token limit, and refuses two values', () => {
    expect(parse({ max_tokens: 5 }).maxTokens).toBe(5);
    expect(parse({ max_completion_tokens: 6, max_tokens: 6 }).maxTokens).toBe(6);
    expect(() => parse({ max_completion_tokens: 6, max_tokens: 5 })).toThrow(/two names of one limit/);
  });

  it('reads all ways to limit thought, and refuses contradictions', () => {
    expect(parse({ thinking_budget: 100 }).thinkingBudget).toBe(100);
    expect(parse({ thinking: { type: 'disabled' } }).thinkingBudget).toBe(0);
    expect(parse({ thinking: { type: 'enabled', budget_tokens: 9 } }).thinkingBudget).toBe(9);
    expect(parse({ chat_template_kwargs: { thinking: false } }).thinkingBudget).toBe(0);
    expect(parse({ reasoning_effort: 'none' }).thinkingBudget).toBe(0);
    expect(parse({ reasoning_effort: 'low' }).thinkingBudget).toBe(1_024);
    expect(parse({ reasoning_effort: 'high' }).thinkingBudget).toBeNull();
    expect(parse({ thinking: { type: 'enabled' }, thinking_budget: 50 }).thinkingBudget).toBe(50);
    expect(() => parse({ thinking: { type: 'disabled' }, thinking_budget: 50 })).toThrow(/contradict each other/);
    expect(() => parse({ thinking: { type: 'enabled' }, reasoning_effort: 'none' })).toThrow(/contradict each other/);
  });

  it('reads response formats', () => {
    const schema = { type: 'object' };
    expect(parse({ response_format: { type: 'text' } }).format).toEqual({ type: 'text' });
    expect(parse({ response_format: { type: 'json_object' } }).format).toEqual({ type: 'json' });
    const format = { type: 'json_schema', json_schema: { name: 'a', strict: true, schema } };
    expect(parse({ response_format: format }).format).toEqual({ type: 'json-schema', schema });
    expect(() => parse({ response_format: { type: 'xml' } })).toThrow(/response_format.type is "xml"/);
    expect(() => parse({ response_format: { type: 'json_schema' } })).toThrow(/json_schema is nothing/);
  });

  it('reads how tokens are drawn', () => {
    const asked = {
      temperature: 0,
      top_p: 0.9,
      top_k: 40,
      min_p: 0.05,
      presence_penalty: -2,
      frequency_penalty: 2,
      repetition_penalty: 1.2,
      logit_bias: { 5: 100, 11: -0.5 },
    };
    expect(parse(asked).sampling).toEqual({
      temperature: 0,
      topP: 0.9,
      topK: 40,
      minP: 0.05,
      presencePenalty: -2,
      frequencyPenalty: 2,
      repetitionPenalty: 1.2,
      logitBias: [
        [5, 100],
        [11, -0.5],
      ],
    });
    const many = Object.fromEntries(Array.from({ length: 1_025 }, (_, id) => [id, 1]));
    expect(() => parse({ logit_bias: many })).toThrow(/logit_bias has 1025 tokens; at most 1024 are allowed/);
  });

  it('reads choices and log-probabilities', () => {
    expect(parse({ n: 8 }).choices).toBe(8);
    expect(parse({ logprobs: true }).logprobs).toBe(0);
    expect(parse({ logprobs: true, top_logprobs: 20 }).logprobs).toBe(20);
  });

  it('reads how to stream, where a stream can be', () => {
    const stream = (options: unknown) => parse({ stream: true, stream_options: options }, true).stream;
    expect(parse({ stream: false }, true).stream).toBeNull();
    expect(stream(undefined)).toEqual({ includeUsage: false });
    expect(stream({})).toEqual({ includeUsage: false });
    expect(stream({ include_usage: true, include_obfuscation: false })).toEqual({ includeUsage: true });
    expect(() => stream({ include_usage: 1 })).toThrow(
      expect.objectContaining({ code: 'input.invalid-request', param: 'stream_options.include_usage' }),
    );
    expect(() => stream({ include_obfuscation: true })).toThrow(
      expect.objectContaining({ code: 'input.unsupported', param: 'stream_options.include_obfuscation' }),
    );
    expect(() => stream({ usage: true })).toThrow(
      expect.objectContaining({ code: 'input.unknown-field', param: 'stream_options.usage' }),
    );
  });

  it('reads the choice of a tool', () => {
    const declare = (name: string) => ({ type: 'function', function: { name } });
    const tools = [declare('look'), declare('find')];
    const choose = (choice: unknown, more: object = { tools }) => parse({ tool_choice: choice, ...more });
    expect(choose('auto').toolChoice).toEqual({ type: 'auto' });
    expect(choose('none')).toMatchObject({ tools: null, toolChoice: { type: 'auto' } });
    expect(choose('required')).toMatchObject({ tools, toolChoice: { type: 'required' } });
    expect(choose(declare('find')).toolChoice).toEqual({ type: 'function', name: 'find' });
    expect(parse({ tools, parallel_tool_calls: false }).parallelToolCalls).toBe(false);
  });

  it.each([
    ['maybe', 'input.invalid-request', 'tool_choice', /"maybe"; it must be one of none, auto, required, or an object/],
    [{ type: 'allowed_tools' }, 'input.unsupported', 'tool_choice.type', /only "function" is supported/],
    [{ type: 'function' }, 'input.invalid-request', 'tool_choice.function', /an object with a name/],
    [
      { type: 'function', function: { name: 'fly' } },
      'input.invalid-request',
      'tool_choice.function.name',
      /"fly"; it must be a declared tool: look/,
    ],
    [
      { type: 'function', function: { name: 'look', strict: true } },
      'input.unknown-field',
      'tool_choice.function.strict',
      /strict/,
    ],
  ])('refuses the choice of a tool %j', (choice, code, param, message) => {
    const tools = [{ type: 'function', function: { name: 'look' } }];
    expect(() => parse({ tools, tool_choice: choice })).toThrow(
      expect.objectContaining({ code, param, message: expect.stringMatching(message) }),
    );
  });

  it('refuses to require a tool where none is declared', () => {
    expect(() => parse({ tool_choice: 'required' })).toThrow(/tool_choice is "required" but tools declares none/);
    const chosen = { type: 'function', function: { name: 'look' } };
    expect(() => parse({ tools: [], tool_choice: chosen })).toThrow(/is "look" but tools declares none/);
  });

  it('reads tools, and drops them when the choice is none', () => {
    const tool = { type: 'function', function: { name: 'look', parameters: { type: 'object' } } };
    expect(parse({ tools: [tool] }).tools).toEqual([tool]);
    expect(parse({ tools: [tool], tool_choice: 'none' }).tools).toBeNull();
    expect(parse({ tools: [] }).tools).toBeNull();
    expect(() => parse({ tools: [tool, tool] })).toThrow(/declares a function name twice/);
    expect(() => parse({ tools: [{ type: 'function', function: { name: 'a.b' } }] })).toThrow(
      /tools\[0\].function.name/,
    );
    expect(() => parse({ tools: [{ type: 'web_search' }] })).toThrow(
      expect.objectContaining({ code: 'input.unsupported' }),
    );
  });
});

describe('parseChatRequest messages', () => {
  it('joins text parts, and refuses other parts', () => {
    const parts = [
      { type: 'text', text: 'one ' },
      { type: 'text', text: 'two' },
    ];
    expect(messages({ role: 'user', content: parts })[0]?.content).toBe('one two');
    expect(() => messages({ role: 'user', content: [{ type: 'image_url', image_url: {} }] })).toThrow(
      expect.objectContaining({ code: 'input.unsupported', param: 'messages[0].content[0].type' }),
    );
  });

  it('treats developer as system, and refuses unknown roles', () => {
    expect(messages({ role: 'developer', content: 'a' })[0]?.role).toBe('system');
    expect(() => messages({ role: 'function', content: 'a' })).toThrow(/messages\[0\].role is "function"/);
  });

  it('reads reasoning under both names', () => {
    expect(messages({ role: 'assistant', content: 'a', reasoning_content: 'r' })[0]?.reasoning).toBe('r');
    expect(messages({ role: 'assistant', content: 'a', reasoning: 's' })[0]?.reasoning).toBe('s');
  });

  it('accepts an answer of ours as history', () => {
    const answer = {
      role: 'assistant',
      content: 'a',
      refusal: null,
      reasoning_content: '',
      reasoning: '',
      annotations: [],
    };
    expect(messages(answer)[0]).toMatchObject({ role: 'assistant', content: 'a', reasoning: null });
  });

  it('renames tool calls to the form the model knows, answers included', () => {
    const call = (id: string, name: string): unknown => ({ id, type: 'function', function: { name, arguments: '{}' } });
    const parsed = messages(
      { role: 'user', content: 'q' },
      { role: 'assistant', content: null, tool_calls: [call('call_x', 'look'), call('call_y', 'find')] },
      { role: 'tool', tool_call_id: 'call_y', content: 'found' },
      { role: 'tool', tool_call_id: 'call_x', content: 'seen' },
      { role: 'assistant', content: null, tool_calls: [call('call_z', 'look')] },
    );
    expect(parsed[1]?.toolCalls?.map(({ id }) => id)).toEqual(['functions.look:0', 'functions.find:1']);
    expect(parsed[2]?.toolCallId).toBe('functions.find:1');
    expect(parsed[3]?.toolCallId).toBe('functions.look:0');
    expect(parsed[4]?.toolCalls?.[0]?.id).toBe('functions.look:2');
  });

  it('refuses an answer to a call nobody made', () => {
    expect(() => messages({ role: 'tool', tool_call_id: 'call_q', content: 'a' })).toThrow(/names no tool call/);
  });

  it('refuses a message without content, unless an assistant only called or thought', () => {
    expect(() => messages({ role: 'user' })).toThrow(/messages\[0\].content is nothing/);
    expect(() => messages({ role: 'assistant', content: null })).toThrow(/messages\[0\].content is null/);
    expect(messages({ role: 'assistant', content: null, reasoning: 'r' })[0]?.content).toBe('');
  });
});
