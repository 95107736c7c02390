import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContentTokens } from '../../../../src/engine/answer/content-tokens.ts';

/** Tokens of these bytes, read by a streaming decoder. */
const read = (tokens: readonly (readonly number[])[]) => {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const content = new ContentTokens();
  let text = '';
  const push = (bytes: readonly number[]): void => {
    const piece = decoder.decode(Uint8Array.from(bytes), { stream: true });
    content.push({ id: 1, bytes, logprob: 0, top: [] }, piece, text.length);
    text += piece;
  };
  for (const bytes of tokens) push(bytes);
  return { content, text, rest: decoder.decode() };
};

const decode = (bytes: readonly number[]): string =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes));

const bytesOf = (text: string): readonly number[] => [...Buffer.from(text)];

describe('ContentTokens', () => {
  it('counts tokens whose text lies within a length', () => {
    const { content } = read([bytesOf('ab'), bytesOf('c'), bytesOf('def')]);
    expect([0, 1, 2, 3, 5, 6].map((length) => content.countWithin(length))).toEqual([0, 0, 1, 2, 2, 3]);
  });

  it('counts the parts of a character with its last byte', () => {
    const [a = 0, b = 0, c = 0, d = 0] = bytesOf('👍');
    const { content } = read([[0x78, a], [b], [c], [d, 0x79, 0x7a]]);
    expect([1, 2, 3, 4, 5].map((length) => content.countWithin(length))).toEqual([0, 0, 3, 3, 4]);
  });

  it('does not count what is inside a character until that is closed', () => {
    const { content, text, rest } = read([bytesOf('x'), [0xe6]]);
    expect(content.countWithin(9)).toBe(1);
    content.close(text.length + rest.length);
    expect(content.countWithin(1)).toBe(1);
    expect(content.countWithin(2)).toBe(2);
  });

  it('agrees with decoding the whole text and every beginning of it', () => {
    const anyBytes = fc.oneof(
      fc.constantFrom(...['a', '漢', '👍', 'é'].map(bytesOf)),
      fc.array(fc.constantFrom(0x61, 0xe6, 0xbc, 0xa2, 0xf0, 0x9f, 0x91, 0x8d, 0xff), { minLength: 1, maxLength: 4 }),
    );
    fc.assert(
      fc.property(fc.array(anyBytes, { maxLength: 8 }), (tokens) => {
        const { content, text, rest } = read(tokens);
        content.close(text.length + rest.length);
        const whole = decode(tokens.flat());
        expect(text + rest).toBe(whole);
        const ends = tokens.map((_, index) => {
          const bytes = tokens.slice(0, index + 1).flat();
          const complete = new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes), {
            stream: true,
          });
          // what a decoder waits for is part of the next character of the whole text
          const isInside = decode(bytes).length > complete.length;
          return (
            complete.length + (isInside ? String.fromCodePoint(whole.codePointAt(complete.length) ?? 0).length : 0)
          );
        });
        for (let length = 0; length <= whole.length; length++) {
          expect(content.countWithin(length)).toBe(ends.filter((end) => end <= length).length);
        }
      }),
      { seed: 2, numRuns: 500 },
    );
  });
});
