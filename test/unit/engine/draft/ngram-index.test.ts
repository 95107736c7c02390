import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longestMatch, NgramIndex, readOn } from '../../../../src/engine/draft/ngram-index.ts';

/** The same, by comparing with every earlier place. */
function findByComparing(tokens: readonly number[]): { readonly start: number; readonly length: number } | null {
  const end = tokens.length - 1;
  let best: { readonly start: number; readonly length: number } | null = null;
  for (let place = end - 1; place >= 0; place--) {
    let length = 0;
    while (length < longestMatch && length <= place && tokens[place - length] === tokens[end - length]) length++;
    if (length >= 2 && length > (best?.length ?? 0)) best = { start: place + 1, length };
  }
  return best;
}

describe('NgramIndex', () => {
  it('finds the longest match, and of equals the latest', () => {
    const found = (text: readonly number[]) => new NgramIndex(text.length).find(text);
    expect(found([1, 2, 3, 9, 8, 1, 2, 3])).toEqual({ start: 3, length: 3 });
    expect(found([7, 1, 2, 3, 9, 1, 2, 3, 8, 7, 1, 2, 3])).toEqual({ start: 4, length: 4 });
    expect(found([1, 2, 3, 9, 1, 2, 3, 8, 1, 2, 3])).toEqual({ start: 7, length: 3 });
    expect(found([5, 1, 2, 9, 6, 1, 2])).toEqual({ start: 3, length: 2 });
  });

  it('finds nothing without two tokens in common', () => {
    for (const text of [[], [1], [1, 1], [1, 2, 3], [1, 2, 2, 1], [4, 2, 5, 2]]) {
      expect(new NgramIndex(text.length).find(text), text.join()).toBeNull();
    }
  });

  it('goes on where it was, although the same stands later too', () => {
    const text = [1, 2, 3, 4, 5, 6, 0, 3, 4, 5, 7, 0, 1, 2];
    const index = new NgramIndex(0);
    expect(index.find(text)).toEqual({ start: 2, length: 2 });
    text.push(3);
    expect(index.find(text)).toEqual({ start: 3, length: 3 });
    text.push(4, 5);
    // the later place has as many tokens in common as it can, the first has more
    expect(index.find(text)).toEqual({ start: 5, length: 5 });
  });

  it('finds what comparing with every place finds, however the text grows', () => {
    const growth = fc.array(fc.array(fc.nat({ max: 4 }), { minLength: 1, maxLength: 12 }), { maxLength: 6 });
    fc.assert(
      fc.property(growth, (parts) => {
        const text: number[] = [];
        const index = new NgramIndex(0);
        for (const part of parts) {
          text.push(...part);
          const [found, expected] = [index.find(text), findByComparing(text)];
          // the place before goes first where several are equally good
          expect(found?.length).toBe(expected?.length);
          if (found === null) continue;
          const before = text.slice(found.start - found.length, found.start);
          expect(before).toEqual(text.slice(-found.length));
          expect(found.start).toBeLessThan(text.length);
        }
      }),
      { seed: 21, numRuns: 300 },
    );
  });

  it('grows with the text beyond what it was made for', () => {
    const text = Array.from({ length: 5_000 }, (_, at) => (at * at) % 4_999);
    const index = new NgramIndex(4);
    for (let total = 1; total <= text.length; total += 37) index.find(text.slice(0, total));
    const repeated = [...text, ...text.slice(2_000, 2_020)];
    const expected = findByComparing(repeated);
    expect(index.find(repeated)).toMatchObject({ length: expected?.length });
  });
});

describe('readOn', () => {
  it('gives what followed, and goes on with the period behind the end', () => {
    const text = [1, 2, 3, 1, 2];
    expect(readOn(text, 2, 2)).toEqual([3, 1]);
    expect(readOn(text, 2, 8)).toEqual([3, 1, 2, 3, 1, 2, 3, 1]);
    expect(readOn([7, 7, 7], 2, 3)).toEqual([7, 7, 7]);
    expect(readOn(text, 2, 0)).toEqual([]);
  });
});
