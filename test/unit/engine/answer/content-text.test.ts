import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContentText } from '../../../../src/engine/answer/content-text.ts';

const write = (stops: readonly string[], pieces: readonly string[]): ContentText => {
  const content = new ContentText(stops);
  for (const piece of pieces) content.push(piece);
  return content;
};

describe('ContentText', () => {
  it('ends before the first stop string, wherever the pieces lie', () => {
    const content = write(['END', 'and'], ['one E', 'ND two and three']);
    expect([content.text, content.isCut, content.shownLength]).toEqual(['one ', true, 4]);
    content.push('more');
    expect(content.text).toBe('one ');
  });

  it('takes the stop string that begins first, when several come with one piece', () => {
    expect(write(['cd', 'bcde'], ['abcdef']).text).toBe('a');
    // and the one that is complete first, when they come with several
    expect(write(['cd', 'bcde'], ['abcd', 'ef']).text).toBe('ab');
  });

  it('shows nothing that may be the beginning of a stop string', () => {
    const content = write(['<end>', 'xyz'], ['a<en']);
    expect(content.shownLength).toBe(1);
    content.push('try xy');
    expect(content.text.slice(0, content.shownLength)).toBe('a<entry ');
    content.close();
    expect(content.text.slice(0, content.shownLength)).toBe('a<entry xy');
    expect(content.isCut).toBe(false);
  });

  it('shows at every moment a beginning of what it ends as, and everything of it in the end', () => {
    const anyText = fc.string({ unit: fc.constantFrom('a', 'b', '漢', '👍'), maxLength: 12 });
    const anyStops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '👍'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.array(anyText, { maxLength: 12 }), anyStops, (pieces, stops) => {
        const content = new ContentText(stops);
        const shown: string[] = [];
        for (const piece of pieces) {
          content.push(piece);
          shown.push(content.text.slice(0, content.shownLength));
        }
        content.close();
        expect(content.shownLength).toBe(content.text.length);
        for (const text of shown) expect(content.text.startsWith(text)).toBe(true);
        for (const stop of stops) expect(content.text.includes(stop)).toBe(false);
        expect(pieces.join('').startsWith(content.text)).toBe(true);
        expect(content.isCut || content.text === pieces.join('')).toBe(true);
      }),
      { seed: 8, numRuns: 300 },
    );
  });
});
