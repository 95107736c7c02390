import { describe, expect, it } from 'vitest';
import { parseDocument } from '../../../src/pipeline/document/parse-document.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

describe('parseDocument', () => {
  it('ends a page at every form feed and keeps offsets into the whole text', () => {
    const document = parseDocument('lease.md', bytes('# One\nfirst\n\f\n# Two\nsecond\n\f\nthird'));
    expect(document.pageKind).toBe('pages');
    expect(document.pages.map(({ text }) => text)).toEqual(['# One\nfirst', '# Two\nsecond', 'third']);
    for (const page of document.pages) {
      expect(document.text.slice(page.start, page.start + page.text.length)).toBe(page.text);
    }
  });

  it('starts no page after a form feed at the very end', () => {
    expect(parseDocument('a.txt', bytes('one\n\f\ntwo\n\f\n')).pages).toHaveLength(2);
  });

  it('cuts text without pages into sections at paragraph ends, losing no word', () => {
    const paragraphs = Array.from({ length: 40 }, (_, index) => `Paragraph ${index}. ${'word '.repeat(60)}`.trim());
    const document = parseDocument('long.txt', bytes(paragraphs.join('\n\n')));
    expect(document.pageKind).toBe('sections');
    expect(document.pages.length).toBeGreaterThan(2);
    for (const { text } of document.pages) expect(text.length).toBeLessThanOrEqual(4_500);
    const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
    expect(document.pages.flatMap(({ text }) => words(text))).toEqual(words(paragraphs.join(' ')));
  });

  it('cuts one endless word without splitting a surrogate pair', () => {
    const document = parseDocument('emoji.txt', bytes('😀'.repeat(5_000)));
    expect(document.pages.map(({ text }) => text).join('')).toBe('😀'.repeat(5_000));
    for (const { text } of document.pages) expect(Buffer.from(text).toString()).toBe(text);
  });

  it('reads CRLF and a byte order mark as if they were not there', () => {
    expect(parseDocument('a.txt', bytes('\uFEFFone\r\ntwo')).text).toBe('one\ntwo');
  });

  it.each([
    ['scan.pdf', bytes('%PDF-1.7'), 'input.media-type', /type \.pdf, which cannot be read yet; allowed: \.txt, \.md/],
    ['bad.txt', Uint8Array.of(0x61, 0xff, 0xfe), 'input.encoding', /"bad.txt" is not valid UTF-8/],
    ['empty.txt', bytes(' \n\f\n '), 'input.invalid-request', /"empty.txt" has no text/],
  ])('rejects %s by name', (name, content, code, message) => {
    expect(() => parseDocument(name, content)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    );
  });
});
