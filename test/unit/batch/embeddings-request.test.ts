import { describe, expect, it } from 'vitest';
import { parseEmbeddingsRequest } from '../../../src/batch/embeddings-request.ts';

const parse = (more: Record<string, unknown> = {}): ReturnType<typeof parseEmbeddingsRequest> =>
  parseEmbeddingsRequest({ model: 'nano', input: 'text', ...more }, ['nano'], { nano: 64 });

describe('parseEmbeddingsRequest', () => {
  it('fills defaults', () => {
    expect(parse({ user: 'u-1' })).toEqual({ model: 'nano', inputs: ['text'], encoding: 'float' });
  });

  it.each([
    ['a text', 'one', ['one']],
    ['texts', ['one', 'two'], ['one', 'two']],
    ['token ids', [5, 0, 7], [[5, 0, 7]]],
    ['several lists of token ids', [[5], [6, 7]], [[5], [6, 7]]],
    ['texts and token ids', ['one', [6, 7]], ['one', [6, 7]]],
  ])('reads %s', (_what, input, inputs) => {
    expect(parse({ input }).inputs).toEqual(inputs);
  });

  it('takes as many inputs as are allowed, and no more', () => {
    expect(parse({ input: Array.from({ length: 2_048 }, () => 'a') }).inputs).toHaveLength(2_048);
    expect(() => parse({ input: Array.from({ length: 2_049 }, () => 'a') })).toThrow(
      'input has 2049 entries; at most 2048 are allowed',
    );
    // one input of many tokens is one input
    expect(parse({ input: Array.from({ length: 4_000 }, (_, id) => id) }).inputs).toHaveLength(1);
  });

  it('takes dimensions only when they are the model’s own', () => {
    expect(parse({ dimensions: 64 })).toEqual(parse());
    expect(() => parse({ dimensions: 32 })).toThrow(
      expect.objectContaining({
        code: 'input.unsupported',
        param: 'dimensions',
        message: 'dimensions is 32; this model has 64; leave it out',
      }),
    );
    expect(() => parseEmbeddingsRequest({ model: 'nano', input: 'a', dimensions: 64 }, ['nano'], {})).toThrow(
      'dimensions is 64; it is not supported; leave it out',
    );
  });

  it.each([
    ['input', undefined, 'input', 'input is required'],
    ['input', '', 'input', 'input is ""; it must not be empty'],
    ['input', [], 'input', 'input is an array of 0; it must be a string, token ids, or an array of either'],
    ['input', {}, 'input', 'input is an object; it must be a string, token ids, or an array of either'],
    ['input', ['a', ''], 'input[1]', 'input[1] is ""; it must not be empty'],
    ['input', ['a', 5], 'input[1]', 'input[1] is 5; it must be a string or token ids'],
    ['input', [5, 'a'], 'input[1]', 'input[1] is "a"; it must be a token id, a whole number from 0'],
    ['input', [[5], []], 'input[1]', 'input[1] is an array of 0; it must not be empty'],
    ['input', [[5, -1]], 'input[0][1]', 'input[0][1] is -1; it must be a token id, a whole number from 0'],
    ['input', [1.5], 'input[0]', 'input[0] is 1.5; it must be a token id, a whole number from 0'],
    ['encoding_format', 'int8', 'encoding_format', 'encoding_format is "int8"; it must be one of float, base64'],
  ])('refuses %s = %j', (field, value, param, message) => {
    expect(() => parse({ [field]: value })).toThrow(
      expect.objectContaining({ code: 'input.invalid-request', param, message }),
    );
  });

  it('refuses unknown fields and models by name', () => {
    expect(() => parse({ task: 'search' })).toThrow(
      expect.objectContaining({ code: 'input.unknown-field', param: 'task' }),
    );
    expect(() => parse({ model: 'other' })).toThrow(expect.objectContaining({ code: 'input.model-not-found' }));
  });
});
