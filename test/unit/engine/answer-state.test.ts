import { describe, expect, it } from 'vitest';
import type { GenerateRequest } from '../../../src/engine/messages.ts';
import {
  answerSpecial,
  encodeParts,
  favour,
  joinDeltas,
  listAllowed,
  openTestAnswer,
  toolDeclaration,
  writeTokens,
} from '../../support/answer-script.ts';
import { byteVocabulary } from '../../support/byte-tokenizer.ts';
import { neutralSampling } from '../../support/neutral-sampling.ts';

const [thinkStart = 0, thinkEnd = 0, end = 0] = encodeParts('<think>', '</think>', '<|im_end|>');
const bytes = Array.from({ length: 256 }, (_, byte) => byte);
const ascending = (ids: readonly number[]): readonly number[] => [...ids].sort((a, b) => a - b);
const schemaFormat = (schema: Readonly<Record<string, unknown>>): GenerateRequest['format'] => ({
  type: 'json-schema',
  schema,
});
const pair = schemaFormat({
  type: 'object',
  properties: { a: { type: 'integer', minimum: 1, maximum: 12 }, b: { type: 'boolean' } },
  required: ['a', 'b'],
});

describe('AnswerState, thought', () => {
  it('opens the thought by itself, and leaves its end to the model without a budget', () => {
    const answer = openTestAnswer({ thinkingBudget: null });
    expect(answer.takeForced()).toEqual([thinkStart]);
    expect(answer.takeForced()).toEqual([]);
    writeTokens(answer, encodeParts('hm', '</think>', 'yes', '<|im_end|>'));
    expect(answer.tokenIds).toEqual(encodeParts('<think>', 'hm', '</think>', 'yes', '<|im_end|>'));
    expect(answer.result()).toEqual({
      reasoning: 'hm',
      content: 'yes',
      toolCalls: [],
      finishReason: 'stop',
      completionTokens: 8,
      reasoningTokens: 2,
      logprobs: null,
      schemaError: null,
    });
  });

  it('closes the thought when its budget is spent, also one of 0', () => {
    expect(openTestAnswer({ thinkingBudget: 0 }).takeForced()).toEqual([thinkStart, thinkEnd]);
    const answer = openTestAnswer({ thinkingBudget: 3 });
    const { forced } = writeTokens(answer, encodeParts('abc', 'def'));
    expect(forced).toEqual([thinkStart, thinkEnd]);
    expect(answer.result()).toMatchObject({ reasoning: 'abc', content: 'def', reasoningTokens: 3 });
  });

  it('may end inside the thought, but not before an answer that has a form', () => {
    const answer = openTestAnswer({ thinkingBudget: null });
    answer.takeForced();
    expect(listAllowed(answer)).toEqual(ascending([...bytes, thinkEnd, end]));
    const formed = openTestAnswer({ thinkingBudget: null, format: { type: 'json' } });
    formed.takeForced();
    expect(listAllowed(formed)).toEqual([...bytes, thinkEnd]);
  });

  it('says in which phase it is', () => {
    const answer = openTestAnswer({ thinkingBudget: null });
    answer.takeForced();
    expect(answer.phase).toBe('think');
    answer.next(favour(thinkEnd));
    expect(answer.phase).toBe('answer');
  });

  it('never samples a token that it would have forced', () => {
    const mistake = expect.objectContaining({ code: 'bug.invariant' });
    expect(() => openTestAnswer().next(favour(97))).toThrowError(mistake);
  });
});

describe('AnswerState, end', () => {
  it('ends at its last token, forced ones included', () => {
    const answer = openTestAnswer({}, 4);
    const { sampled } = writeTokens(answer, encodeParts('abc'));
    expect(sampled.length).toBe(2);
    expect(answer.result()).toMatchObject({ content: 'ab', finishReason: 'length', completionTokens: 4 });
    expect(answer.next(favour(97))).toBeNull();
  });

  it('takes no more forced tokens than it may have', () => {
    const answer = openTestAnswer({ thinkingBudget: 0 }, 1);
    expect(answer.takeForced()).toEqual([thinkStart]);
    expect([answer.ended, answer.takeForced()]).toEqual([true, []]);
  });

  it('allows text and a stop token, and gives a broken character as a replacement', () => {
    const answer = openTestAnswer();
    answer.takeForced();
    expect(listAllowed(answer)).toEqual(ascending([...bytes, end]));
    const broken = openTestAnswer();
    const { deltas } = writeTokens(broken, [...encodeParts('a漢').slice(0, 3), end]);
    expect(broken.result().content).toBe('a\ufffd');
    expect(joinDeltas(deltas).content).toBe('a\ufffd');
  });

  it('is complete with its JSON, without a token to say so, also as the last one it may have', () => {
    const text = encodeParts('{"a":12,"b":true}');
    for (const maxTokens of [400, text.length + 2]) {
      const answer = openTestAnswer({ format: pair }, maxTokens);
      writeTokens(answer, text);
      expect(answer.ended).toBe(true);
      expect(answer.result()).toMatchObject({ finishReason: 'stop', schemaError: null, content: '{"a":12,"b":true}' });
    }
  });

  it('ends its JSON whole where the tokens are enough for one, and says that the limit had a part in it', () => {
    const before = 2;
    const shorten = (wanted: string, tokens: number, format = pair) => {
      const answer = openTestAnswer({ format }, before + tokens);
      writeTokens(answer, encodeParts(wanted));
      const { content, finishReason, schemaError } = answer.result();
      return [content, finishReason, schemaError];
    };
    const cutOff = 'the answer was cut off at its token limit';
    // a token a byte: the second digit would not leave enough
    expect(shorten('{"a":12,"b":true}', 16)).toEqual(['{"a":1,"b":true}', 'length', null]);
    // what fits is the model's own
    expect(shorten('{"a":1,"b":false}', 17)).toEqual(['{"a":1,"b":false}', 'stop', null]);
    expect(shorten('{"a":1,"b":false}', 16)).toEqual(['{"a":1,"b":true}', 'length', null]);
    // too few for any: as far as it goes
    expect(shorten('{"a":12,"b":true}', 15)).toEqual(['{"a":12,"b":tru', 'length', cutOff]);
    const texts = schemaFormat({ type: 'array', items: { type: 'string', maxLength: 200 }, maxItems: 9 });
    expect(shorten(`["${'PV '.repeat(60)}`, 20, texts)).toEqual([
      `["${'PV '.repeat(60).slice(0, 16)}"]`,
      'length',
      null,
    ]);
    // a character of three bytes is not left half written
    expect(shorten('["漢漢漢漢"]', 10, texts)).toEqual(['["漢漢"]', 'length', null]);
  });

  it('closes a thought while there is room for the shortest answer', () => {
    const least = '{"a":1,"b":true}'.length;
    const answer = openTestAnswer({ format: pair, thinkingBudget: null }, 10 + least);
    writeTokens(answer, [...encodeParts('hm'.repeat(4)), ...encodeParts('{"a":1,"b":false}')]);
    expect(answer.result()).toMatchObject({
      reasoning: 'hm'.repeat(4),
      content: '{"a":1,"b":true}',
      finishReason: 'length',
      schemaError: null,
    });
    // nothing is gained where there never was room
    const none = openTestAnswer({ format: pair, thinkingBudget: null }, least);
    writeTokens(none, encodeParts('hm'.repeat(20)));
    expect(none.result()).toMatchObject({ content: '', finishReason: 'length' });
  });

  it('knows after a restart that the limit had a part in the end', () => {
    const format = schemaFormat({ type: 'array', items: { type: 'string', maxLength: 200 } });
    const whole = openTestAnswer({ format }, 12);
    const text = encodeParts(`["aaaaaaaaaaaaaaaaaaaaa`);
    writeTokens(whole, text);
    expect(whole.result()).toMatchObject({ content: '["aaaaaa"]', finishReason: 'length', schemaError: null });
    const stopped = openTestAnswer({ format }, 12);
    writeTokens(stopped, text.slice(0, 9));
    expect(stopped.ended).toBe(false);
    const resumed = openTestAnswer({ format }, 12);
    resumed.restore(JSON.parse(JSON.stringify(stopped.save())));
    writeTokens(resumed, encodeParts(']'));
    expect(resumed.result()).toEqual(whole.result());
  });

  it('stays under its grammar whatever the model wants', () => {
    const answer = openTestAnswer({ format: pair });
    writeTokens(
      answer,
      Array.from({ length: 300 }, () => end),
    );
    const { content, finishReason, schemaError } = answer.result();
    expect([finishReason, schemaError]).toEqual(['stop', null]);
    expect(JSON.parse(content)).toMatchObject({ a: expect.any(Number), b: expect.any(Boolean) });
  });

  it('lets a number that could go on end with a stop token', () => {
    const answer = openTestAnswer({ format: schemaFormat({ type: 'integer' }) });
    writeTokens(answer, encodeParts('7', '<|im_end|>'));
    expect(answer.result()).toMatchObject({ content: '7', finishReason: 'stop', completionTokens: 4 });
  });

  it('has nothing to write when it may have no tokens', () => {
    const answer = openTestAnswer({}, 0);
    expect([answer.ended, answer.takeForced(), answer.next(favour(97))]).toEqual([true, [], null]);
    expect(answer.result()).toMatchObject({ finishReason: 'length', completionTokens: 0 });
  });
});

describe('AnswerState, stop strings', () => {
  it('cuts the content where one begins, across tokens, and shows nothing of it', () => {
    const answer = openTestAnswer({ stop: ['\n\n', 'END'] });
    const { deltas } = writeTokens(answer, encodeParts('one E two EN', 'D three'));
    expect(answer.result()).toMatchObject({ content: 'one E two ', finishReason: 'stop' });
    expect(joinDeltas(deltas).content).toBe('one E two ');
    expect(answer.tokenIds.length).toBe(2 + 'one E two END'.length);
  });

  it('shows what was held back when it can become none any more', () => {
    const answer = openTestAnswer({ stop: ['abcd'] }, 7);
    const { deltas } = writeTokens(answer, encodeParts('abcxab'));
    expect(deltas.map(({ content }) => content)).toEqual(['abcx', 'a']);
    expect(answer.result().content).toBe('abcxa');
  });

  it('shows what was held back where tool calls begin', () => {
    const answer = openTestAnswer({ stop: ['look!'], tools: [toolDeclaration('f')] });
    const { deltas } = writeTokens(answer, encodeParts('I look', '<|tool_calls_section_begin|>', '{'));
    expect(deltas.map(({ content }) => content).filter((content) => content !== '')).toEqual(['I', ' ', 'look']);
    // with the marker, not with the end
    expect(deltas.at(-1)).toMatchObject({ content: '', toolCalls: [{ arguments: '{' }] });
  });

  it('leaves thoughts alone', () => {
    const answer = openTestAnswer({ stop: ['x'], thinkingBudget: null });
    writeTokens(answer, encodeParts('axb', '</think>', 'c', '<|im_end|>'));
    expect(answer.result()).toMatchObject({ reasoning: 'axb', content: 'c' });
  });

  it('ends JSON like any other text, and says that it is none', () => {
    const answer = openTestAnswer({ stop: [','], format: pair });
    writeTokens(answer, encodeParts('{"a":12,"b":true}'));
    expect(answer.result()).toMatchObject({
      content: '{"a":12',
      finishReason: 'stop',
      schemaError: expect.stringMatching(/^not JSON: /),
    });
  });
});

describe('AnswerState, log-probabilities', () => {
  it('are of the content alone, from the logits as the model gave them', () => {
    const sampling = { ...neutralSampling, temperature: 0, logitBias: [[98, 9]] as const };
    const answer = openTestAnswer({ logprobs: 2, thinkingBudget: 1, sampling });
    answer.takeForced();
    answer.next(favour(120));
    answer.takeForced();
    const logits = favour(97);
    logits[end] = 6;
    expect(answer.next(logits)).toBe(98);
    const total = Math.log(byteVocabulary - 2 + Math.exp(5) + Math.exp(6));
    const { logprobs } = answer.result();
    expect(logprobs).toHaveLength(1);
    expect(logprobs?.[0]).toMatchObject({ id: 98, bytes: [98] });
    expect(logprobs?.[0]?.logprob).toBeCloseTo(-total, 6);
    expect(logprobs?.[0]?.top.map(({ id, bytes: of }) => [id, of])).toEqual([
      [end, []],
      [97, [97]],
    ]);
    expect(logprobs?.[0]?.top[0]?.logprob).toBeCloseTo(6 - total, 6);
  });

  it('come with the text that they are of, and not with what a stop string cuts off', () => {
    const answer = openTestAnswer({ logprobs: 0, stop: ['漢字'] });
    const { deltas } = writeTokens(answer, encodeParts('a漢é漢字'));
    const kept = [...encodeParts('a漢é')];
    expect(deltas.map(({ content, logprobs }) => [content, logprobs?.length])).toEqual([
      ['a', 1],
      ['漢é', 5],
    ]);
    expect(answer.result()).toMatchObject({ content: 'a漢é', finishReason: 'stop' });
    expect(answer.result().logprobs?.map(({ id }) => id)).toEqual(kept);
    expect(joinDeltas(deltas).logprobs.map(({ id }) => id)).toEqual(kept);
  });

  it('are there for every token of content, with no stop token among them', () => {
    const answer = openTestAnswer({ logprobs: 1 });
    writeTokens(answer, encodeParts('ab', '<|im_end|>'));
    expect(answer.result().logprobs?.map(({ id }) => id)).toEqual([97, 98]);
    const none = openTestAnswer({ logprobs: 0 });
    writeTokens(none, [end]);
    expect(none.result()).toMatchObject({ content: '', logprobs: [] });
  });
});

describe('AnswerState, sampling', () => {
  it('counts every token of the answer for penalties, forced ones too', () => {
    const sampling = { ...neutralSampling, temperature: 0, presencePenalty: 2, repetitionPenalty: 2 };
    const answer = openTestAnswer({ sampling });
    answer.takeForced();
    answer.next(favour(97));
    const logits = new Float32Array(byteVocabulary).fill(4);
    answer.next(logits);
    // the prompt has an "r"
    const [a, r, z] = ['a', 'r', 'z'].map((letter) => logits[letter.charCodeAt(0)]);
    expect([a, r, z]).toEqual([0, 2, 4]);
  });

  it('draws a number for each token that it samples, and none for those it forces', () => {
    const answer = openTestAnswer({ sampling: neutralSampling });
    answer.takeForced();
    for (let index = 0; index < 3; index++) answer.next(favour(97));
    expect(answer.save().draws).toBe(3);
  });
});

describe('openAnswer', () => {
  it.each<[string, string, Partial<GenerateRequest>]>([
    ['input.invalid-request', 'top_logprobs', { logprobs: 21 }],
    ['input.invalid-request', 'top_logprobs', { logprobs: 1.5 }],
    ['input.invalid-request', 'stop', { stop: ['a', ''] }],
    ['input.invalid-request', 'top_p', { sampling: { ...neutralSampling, topP: 2 } }],
    ['input.invalid-request', 'logit_bias', { sampling: { ...neutralSampling, logitBias: [[byteVocabulary, 1]] } }],
    ['input.schema', 'schema', { format: schemaFormat({ type: 'nothing' }) }],
  ])('rejects with %s a wrong %s', (code, param, more) => {
    expect(() => openTestAnswer(more)).toThrowError(expect.objectContaining({ code, param }));
  });

  it('knows the end of an answer and all tokens without text', () => {
    expect(answerSpecial).toMatchObject({ thinkStart, thinkEnd, stopIds: [end] });
    expect(answerSpecial.textless).toEqual(Array.from({ length: byteVocabulary - 256 }, (_, index) => 256 + index));
  });
});
