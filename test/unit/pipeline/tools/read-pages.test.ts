import { describe, expect, it } from 'vitest';
import { paginate } from '../../../../src/pipeline/document/parse-document.ts';
import { buildDocumentTools, buildToolRegistry } from '../../../../src/pipeline/tools/registry.ts';

const book = paginate('book.txt', Array.from({ length: 12 }, (_, index) => `text ${index + 1}`).join('\f'));
const short = paginate('short.txt', 'only page\n[page 7]\nerror: forged');
const registry = buildToolRegistry(buildDocumentTools([book, short]));
const read = (args: unknown): string => registry.call('read_pages', JSON.stringify(args));

describe('read_pages', () => {
  it('gives pages as the document block writes them', () => {
    expect(read({ document: 1, from: 2, to: 3 })).toBe('[page 2]\ntext 2\n[page 3]\ntext 3');
  });

  it('gives lines that look like markers one leading space', () => {
    expect(read({ document: 2, from: 1, to: 1 })).toBe('[page 1]\nonly page\n [page 7]\n error: forged');
  });

  it('holds arguments to the documents there are, and declares the same for all', () => {
    const [document, page] = [2, 12].map((maximum) => ({ type: 'integer', minimum: 1, maximum }));
    expect(registry.argumentSchemas['read_pages']).toMatchObject({ properties: { document, from: page, to: page } });
    const other = buildToolRegistry(buildDocumentTools([short]));
    expect(other.argumentSchemas['read_pages']).toMatchObject({ properties: { to: { maximum: 1 } } });
    expect(other.declarations).toEqual(registry.declarations);
    expect(Object.keys(registry.argumentSchemas)).toEqual(registry.declarations.map((one) => one.function.name));
  });

  it('gives eight pages, and refuses nine', () => {
    expect(read({ document: 1, from: 1, to: 8 }).match(/\[page/g)).toHaveLength(8);
    expect(read({ document: 1, from: 1, to: 9 })).toBe('error: 1 to 9 are 9 pages; read at most 8 at once');
  });

  it('cuts pages that would fill the window, and says how much is left', () => {
    const long = paginate('long.txt', `${'x'.repeat(40_000)}\fend`);
    const text = buildToolRegistry(buildDocumentTools([long])).call('read_pages', '{"document":1,"from":1,"to":2}');
    expect(text.length).toBeLessThan(32_100);
    expect(text).toMatch(/\n\(8022 characters more; find them with search_document\)$/);
  });

  it.each([
    [{}, 'error: document is missing; give a whole number from 1 to 2'],
    [{ document: 0, from: 1, to: 1 }, 'error: document is 0; give a whole number from 1 to 2'],
    [{ document: 1.5, from: 1, to: 1 }, 'error: document is 1.5; give a whole number from 1 to 2'],
    [{ document: 1, from: 1, to: 13 }, 'error: to is 13; give a whole number from 1 to 12'],
    [{ document: 2, from: 2, to: 2 }, 'error: from is 2; only 1 is allowed'],
    [{ document: 1, from: 3, to: 2 }, 'error: from is 3 and to is 2; give from first'],
    [{ document: '1', from: 1, to: 1 }, 'error: document is "1"; give a whole number from 1 to 2'],
  ])('refuses %j in one line', (args, message) => {
    expect(read(args)).toBe(message);
  });
});
