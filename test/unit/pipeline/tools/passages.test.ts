import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { paginate } from '../../../../src/pipeline/document/parse-document.ts';
import { cutPassages } from '../../../../src/pipeline/tools/passages.ts';

const texts = (raw: string): readonly string[] => cutPassages(paginate('a.md', raw)).map(({ text }) => text);

describe('passages', () => {
  it('are paragraphs, list entries and rows, each with heading and table header', () => {
    const document = paginate(
      'a.md',
      '# Prices\nAll prices\nare net.\n\n- first\n- second\n| Name | Price |\n|---|---|\n| desk | 3 |\nafter',
    );
    expect(cutPassages(document)).toEqual([
      { page: 1, text: '# Prices', context: [] },
      { page: 1, text: 'All prices are net.', context: ['# Prices'] },
      { page: 1, text: '- first', context: ['# Prices'] },
      { page: 1, text: '- second', context: ['# Prices'] },
      { page: 1, text: '| Name | Price |', context: ['# Prices'] },
      { page: 1, text: '| desk | 3 |', context: ['# Prices', '| Name | Price |'] },
      { page: 1, text: 'after', context: ['# Prices'] },
    ]);
  });

  it('keep the heading over a page end, but not the table header', () => {
    const pages = cutPassages(paginate('a.md', '# Prices\n| Name |\n| desk |\f| chair |'));
    expect(pages.at(-1)).toEqual({ page: 2, text: '| chair |', context: ['# Prices'] });
  });

  it('are cut at sentence ends near 280 characters', () => {
    const sentence = `${'word '.repeat(20).trim()}.`;
    expect(texts(Array.from({ length: 5 }, () => sentence).join(' '))).toEqual([
      `${sentence} ${sentence}`,
      `${sentence} ${sentence}`,
      sentence,
    ]);
  });

  it('never split a character in two', () => {
    const parts = texts(`a${'😀'.repeat(500)}`);
    expect(parts.length).toBeGreaterThan(3);
    for (const part of parts) expect(part).not.toMatch(/^[\udc00-\udfff]|[\ud800-\udbff]$/);
    expect(parts.join('')).toBe(`a${'😀'.repeat(500)}`);
  });

  it('lose no word and stay short, whatever the text', () => {
    const word = fc.stringMatching(/^[a-z#|.!]{1,40}$/);
    const text = fc.array(fc.tuple(word, fc.constantFrom(' ', '\n', '\n\n', '  ')), { minLength: 1, maxLength: 120 });
    fc.assert(
      fc.property(text, (parts) => {
        const raw = parts.map(([one, space]) => one + space).join('');
        const cut = texts(raw);
        const letters = (some: string): string => some.replace(/[^a-z]/g, '');
        expect(letters(cut.join(''))).toBe(letters(raw));
        for (const one of cut.filter((passage) => !/^[#|]/.test(passage))) expect(one.length).toBeLessThanOrEqual(280);
      }),
    );
  });
});
