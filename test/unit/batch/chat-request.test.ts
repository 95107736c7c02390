import { describe, expect, it } from 'vitest';
import { parseChatRequest } from '../../../src/batch/chat-request.ts';

const models = ['quire-nano'];
const body = { model: 'quire-nano', messages: [{ role: 'user', content: 'hello' }] };
const parse = (more: Record<string, unknown> = {}): ReturnType<typeof parseChatRequest> =>
  parseChatRequest({ ...body, ...more }, models);
const messages = (...list: readonly unknown[]): ReturnType<typeof parseChatRequest>['messages'] =>
  parse({ messages: list }).messages;

describe('parseChatRequest', () => {
  it('fills defaults', () => {
    expect(parse()).toEqual({
      model: 'quire-nano',
      messages: [{ role: 'user', content: 'hello', name: null, reasoning: null, toolCalls: null, toolCallId: null }],
      tools: null,
      maxTokens: null,
      temperature: 1,
      topP: 1,
      seed: null,
      stop: [],
      thinkingBudget: null,
      format: { type: 'text' },
    });
  });

  it('accepts fields it does not serve at the values that change nothing', () => {
    const neutral = {
      stream: false,
      stream_options: null,
      n: 1,
      logprobs: false,
      top_logprobs: 0,
      logit_bias: {},
      presence_penalty: 0,
      frequency_penalty: 0,
      parallel_tool_calls: true,
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
    ['stream', true, /streaming is not available yet/],
    ['n', 2, /n is 2; only one choice/],
    ['logprobs', true, /logprobs is true/],
    ['logit_bias', { 5: 1 }, /logit_bias is an object/],
    ['presence_penalty', 0.5, /presence_penalty is 0.5/],
    ['frequency_penalty', -1, /frequency_penalty is -1/],
    ['tool_choice', 'required', /tool_choice is "required"/],
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
  ])('refuses %s = %j, saying what is allowed', (param, value, message) => {
    expect(() => parse({ [param]: value })).toThrow(
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
    expect(() => parseChatRequest(value, models)).toThrow(expect.objectContaining({ code: 'input.invalid-request' }));
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
