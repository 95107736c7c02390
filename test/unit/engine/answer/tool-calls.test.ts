import { describe, expect, it } from 'vitest';
import { openAnswer } from '../../../../src/engine/answer-state.ts';
import type { GenerateRequest } from '../../../../src/engine/messages.ts';
import { openGrammarCompiler } from '../../../../src/engine/structured/grammar.ts';
import {
  answerSpecial,
  encodeParts,
  joinDeltas,
  listAllowed,
  messageWithCalls,
  openTestAnswer,
  toolDeclaration,
  writeTokens,
} from '../../../support/answer-script.ts';
import { byteTokenizer } from '../../../support/byte-tokenizer.ts';
import { chatMessage, generateRequest } from '../../../support/test-engine.ts';

const [end = 0, sectionStart = 0, sectionEnd = 0, callStart = 0, argumentStart = 0, callEnd = 0] = encodeParts(
  '<|im_end|>',
  '<|tool_calls_section_begin|>',
  '<|tool_calls_section_end|>',
  '<|tool_call_begin|>',
  '<|tool_call_argument_begin|>',
  '<|tool_call_end|>',
);
const bytes = Array.from({ length: 256 }, (_, byte) => byte);
const text = (content: string): readonly number[] => byteTokenizer.encodePlain(content);

const note = toolDeclaration('note', { type: 'object', properties: { n: { enum: [1, 23] } }, required: ['n'] });
const look = toolDeclaration('look', { properties: { at: { type: 'string', maxLength: 9 } }, required: ['at'] });
const free = toolDeclaration('free');
const required: Partial<GenerateRequest> = { toolChoice: { type: 'required' } };

/** The tokens of a call as prompts have them. */
const call = (id: string, json: string): readonly number[] => [
  callStart,
  ...text(id),
  argumentStart,
  ...text(json),
  callEnd,
];

describe('AnswerState, choice of tools', () => {
  it('lets the model call one, in its thought, in place of an answer, or behind some text', () => {
    const tools = [note];
    for (const before of [[], text('I look.')]) {
      const answer = openTestAnswer({ tools });
      const { forced, sampled, deltas } = writeTokens(answer, [
        ...before,
        sectionStart,
        ...text('{"n":23}'),
        sectionEnd,
      ]);
      expect(answer.result()).toMatchObject({
        content: before.length === 0 ? '' : 'I look.',
        toolCalls: [{ id: 'functions.note:0', name: 'note', arguments: '{"n":23}' }],
        finishReason: 'tool_calls',
        schemaError: null,
      });
      expect(joinDeltas(deltas)).toMatchObject({ toolCalls: answer.result().toolCalls });
      expect(forced.slice(2)).toEqual([callStart, ...text('functions.note:0'), argumentStart, callEnd]);
      expect(sampled.length + forced.length).toBe(answer.completionTokens);
    }
    const thinking = openTestAnswer({ tools, thinkingBudget: null });
    writeTokens(thinking, [...text('hm'), sectionStart, ...text('{"n":1}'), sectionEnd]);
    expect(thinking.result()).toMatchObject({ reasoning: 'hm', toolCalls: [{ arguments: '{"n":1}' }] });
  });

  it('offers the section beside text and the end, and no other marker', () => {
    const answer = openTestAnswer({ tools: [note] });
    answer.takeForced();
    expect([...listAllowed(answer)].sort((a, b) => a - b)).toEqual([...bytes, end, sectionStart].sort((a, b) => a - b));
    const without = openTestAnswer({ tools: [] });
    without.takeForced();
    expect(listAllowed(without)).not.toContain(sectionStart);
  });

  it('forces the section once the thought has closed, when a call is required', () => {
    const answer = openTestAnswer({ ...required, tools: [note, look], thinkingBudget: null });
    // one letter chooses
    const wanted = encodeParts('hm', '</think>', 'l', '{"at":"x"}', '<|tool_calls_section_end|>');
    const { forced } = writeTokens(answer, wanted);
    expect(forced).toEqual([
      ...encodeParts('<think>', '<|tool_calls_section_begin|>', '<|tool_call_begin|>', 'functions.', 'ook:0'),
      argumentStart,
      callEnd,
    ]);
    expect(answer.result().toolCalls).toEqual([{ id: 'functions.look:0', name: 'look', arguments: '{"at":"x"}' }]);
  });

  it('leaves no way around a required call, in the thought either', () => {
    const answer = openTestAnswer({ ...required, tools: [note], thinkingBudget: null });
    answer.takeForced();
    expect(listAllowed(answer)).toEqual([...bytes, ...encodeParts('</think>', '<|tool_calls_section_begin|>')]);
  });

  it('writes all of a call but its arguments by itself, when one function is chosen', () => {
    const toolChoice = { type: 'function', name: 'look' } as const;
    const answer = openTestAnswer({ toolChoice, tools: [note, look, free], parallelToolCalls: false });
    expect(answer.takeForced()).toEqual([
      ...encodeParts('<think>', '</think>', '<|tool_calls_section_begin|>', '<|tool_call_begin|>'),
      ...encodeParts('functions.look:0', '<|tool_call_argument_begin|>'),
    ]);
    const { sampled, forced } = writeTokens(answer, text('{"at":"ab"}'));
    expect([...sampled, ...forced]).toEqual([...text('{"at":"ab"}'), callEnd, sectionEnd]);
    expect(answer.result()).toMatchObject({ finishReason: 'tool_calls', toolCalls: [{ name: 'look' }] });
  });
});

describe('AnswerState, calls of tools', () => {
  it('numbers calls on over the whole conversation, and over those of the answer', () => {
    const messages = [chatMessage('user', 'x'), messageWithCalls(9), messageWithCalls(1)];
    const answer = openTestAnswer({ ...required, messages, tools: [note] });
    writeTokens(answer, [...text('{"n":1}'), callStart, ...text('{"n":23}'), sectionEnd]);
    expect(answer.result().toolCalls.map(({ id }) => id)).toEqual(['functions.note:10', 'functions.note:11']);
    expect(answer.tokenIds).toEqual([
      ...encodeParts('<think>', '</think>', '<|tool_calls_section_begin|>'),
      ...call('functions.note:10', '{"n":1}'),
      ...call('functions.note:11', '{"n":23}'),
      sectionEnd,
    ]);
  });

  it('allows between calls another one or the end, and the end alone when only one is wanted', () => {
    const answer = openTestAnswer({ ...required, tools: [note] });
    writeTokens(answer, text('{"n":1}'));
    expect(listAllowed(answer)).toEqual([sectionEnd, callStart]);
    const single = openTestAnswer({ ...required, tools: [note], parallelToolCalls: false });
    writeTokens(single, text('{"n":1}'));
    expect(single.result().finishReason).toBe('tool_calls');
  });

  it('tells apart names that begin alike, with the tokens that prompts have', () => {
    const tools = ['read', 'read_pages', 'read_page'].map((name) => toolDeclaration(name, { const: {} }));
    for (const [wanted, name] of [
      [':', 'read'],
      ['_s', 'read_pages'],
      ['_:', 'read_page'],
    ] as const) {
      const answer = openTestAnswer({ ...required, tools, parallelToolCalls: false });
      writeTokens(answer, text(`${wanted}{}`));
      expect(answer.result().toolCalls).toEqual([{ id: `functions.${name}:0`, name, arguments: '{}' }]);
    }
  });

  it('takes any object where no parameters are declared, and an object where their type is left open', () => {
    const open = openTestAnswer({ ...required, tools: [free] });
    expect(listAllowedAfter(open, [])).toEqual(text('{'));
    const anyOf = [{ required: ['a'], properties: { a: { const: 1 } } }, { type: 'string' }];
    const either = openTestAnswer({ ...required, tools: [toolDeclaration('f', { anyOf })] });
    expect(listAllowedAfter(either, [])).toEqual(text('{'));
  });

  it('writes calls that fit their schema, whatever the model wants', () => {
    const tools = [note, look];
    let finished = 0;
    for (let seed = 0; seed < 20; seed++) {
      const answer = openTestAnswer({ ...required, tools, parallelToolCalls: false });
      const wanted = Array.from({ length: 200 }, (_, index) => (seed * 37 + index * 91 + ((index * index) % 7)) % 268);
      writeTokens(answer, wanted);
      const { finishReason, toolCalls, schemaError } = answer.result();
      if (finishReason === 'length') continue;
      finished++;
      expect(schemaError).toBeNull();
      expect(toolCalls).toHaveLength(1);
      expect(JSON.parse(toolCalls[0]?.arguments ?? '')).toBeTypeOf('object');
    }
    expect(finished).toBeGreaterThan(5);
  });

  it('holds arguments to a narrower schema than the declared one', () => {
    const pages = { type: 'integer', minimum: 1 };
    const schema = (n: object) => ({ type: 'object', properties: { n }, required: ['n'], additionalProperties: false });
    const tools = [toolDeclaration('note', schema(pages))];
    const argumentSchemas = { note: schema({ ...pages, maximum: 12 }) };
    const narrow = openTestAnswer({ ...required, tools, argumentSchemas });
    expect(listAllowedAfter(narrow, text('{"n":1'))).toEqual(text('012}'));
    const declared = openTestAnswer({ ...required, tools });
    expect(listAllowedAfter(declared, text('{"n":1'))).toEqual(text('0123456789}'));
  });

  it('keeps a call that is cut off as it stands, and says so', () => {
    const answer = openTestAnswer({ ...required, tools: [look] }, 40);
    const { deltas } = writeTokens(answer, text('{"at":"'));
    writeTokens(answer, text('abcdefghijklmnop'));
    const { finishReason, toolCalls, schemaError } = answer.result();
    expect(finishReason).toBe('length');
    expect(toolCalls).toEqual([
      { id: 'functions.look:0', name: 'look', arguments: expect.stringMatching(/^\{"at":"/) },
    ]);
    expect(schemaError).toBe('the answer was cut off at its token limit');
    expect(joinDeltas(deltas).toolCalls[0]).toMatchObject({ id: 'functions.look:0', name: 'look' });
  });

  it('has no call when it is cut off before its arguments', () => {
    const answer = openTestAnswer({ ...required, tools: [look] }, 9);
    answer.takeForced();
    expect(answer.result()).toMatchObject({ finishReason: 'length', toolCalls: [], completionTokens: 9 });
  });

  it('leaves what the grammar cannot follow to the check of the finished arguments', () => {
    const unique = toolDeclaration('pick', {
      type: 'object',
      properties: { of: { type: 'array', items: { enum: [1, 2] }, uniqueItems: true, maxItems: 2, minItems: 2 } },
      required: ['of'],
    });
    const write = (json: string) => {
      const answer = openTestAnswer({ ...required, tools: [unique], parallelToolCalls: false });
      writeTokens(answer, text(json));
      return answer.result();
    };
    expect(write('{"of":[1,2]}').schemaError).toBeNull();
    expect(write('{"of":[1,1]}')).toMatchObject({
      finishReason: 'tool_calls',
      schemaError: expect.stringMatching(/^arguments of functions\.pick:0: \/of must NOT have duplicate items/),
    });
  });
});

describe('AnswerState, calls of tools or an answer with a form', () => {
  const format = {
    type: 'json-schema',
    schema: { type: 'object', properties: { a: { const: 1 } }, required: ['a'] },
  } as const;

  it('is one or the other from the first token on', () => {
    const start = openTestAnswer({ tools: [note], format });
    start.takeForced();
    expect(listAllowed(start)).toEqual([...text('{'), sectionStart]);
    const answer = openTestAnswer({ tools: [note], format });
    expect(listAllowedAfter(answer, text('{'))).toEqual(text('"'));
  });

  it('checks what it became', () => {
    const calling = openTestAnswer({ tools: [note], format });
    writeTokens(calling, [sectionStart, ...text('{"n":1}'), sectionEnd]);
    expect(calling.result()).toMatchObject({ finishReason: 'tool_calls', content: '', schemaError: null });
    const answering = openTestAnswer({ tools: [note], format });
    writeTokens(answering, text('{"a":1}'));
    expect(answering.result()).toMatchObject({ finishReason: 'stop', content: '{"a":1}', schemaError: null });
  });
});

describe('openAnswer, tools', () => {
  it.each<[string, string, Partial<GenerateRequest>]>([
    ['input.invalid-request', 'tool_choice', required],
    ['input.invalid-request', 'tool_choice', { toolChoice: { type: 'function', name: 'x' }, tools: [note] }],
    ['input.invalid-request', 'tools', { tools: [note, look, note] }],
    ['input.invalid-request', 'tools[1].function', { tools: [note, {}] }],
    ['input.invalid-request', 'tools[0].function.name', { tools: [toolDeclaration('')] }],
    ['input.invalid-request', 'tools[0].function.parameters', { tools: [toolDeclaration('x', [])] }],
    ['input.schema', 'tools[1].function.parameters', { tools: [note, toolDeclaration('x', { type: 'nothing' })] }],
    ['input.schema', 'tools[0].function.parameters', { tools: [toolDeclaration('x', { enum: [] })] }],
  ])('rejects with %s a wrong %s', (code, param, more) => {
    expect(() => openTestAnswer(more)).toThrowError(expect.objectContaining({ code, param }));
  });

  it('rejects tools for a model that has no tokens for calls', () => {
    const special = { ...answerSpecial, toolMarkers: null };
    const deps = { tokenizer: byteTokenizer, special, grammars: openGrammarCompiler(byteTokenizer, [end]) };
    const request = generateRequest('r', { tools: [note] });
    const refusal = { code: 'input.unsupported', param: 'tools' };
    expect(() => openAnswer(deps, request, { ids: [1], maxTokens: 9 })).toThrowError(expect.objectContaining(refusal));
  });
});

/** Tokens that may come behind these. */
function listAllowedAfter(answer: ReturnType<typeof openTestAnswer>, wanted: readonly number[]): readonly number[] {
  writeTokens(answer, wanted);
  return listAllowed(answer);
}
