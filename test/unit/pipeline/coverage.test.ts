import { describe, expect, it } from 'vitest';
import { coverAll, coverByTools } from '../../../src/pipeline/coverage.ts';
import { paginate } from '../../../src/pipeline/document/parse-document.ts';
import { buildReadPages } from '../../../src/pipeline/tools/read-pages.ts';

const documents = [paginate('a.md', 'one\ftwo\fthree\ffour\ffive'), paginate('b.md', 'six')];
const use = (name: string, args: object, result: string) => ({ name, arguments: JSON.stringify(args), result });

describe('coverage', () => {
  it('is whole when the documents stand in the prompt', () => {
    expect(coverAll(documents)).toEqual({ pages_total: 6, pages_read: 6, skipped: [] });
  });

  it('tells what tools have opened, what was only searched, and what nobody looked at', () => {
    const uses = [
      use('read_pages', { document: 1, from: 1, to: 2 }, '[page 1]\none\n[page 2]\ntwo'),
      use('search_document', { query: 'four' }, '[1, p. 4] four\n[1, p. 2] two'),
      use('read_pages', { document: 2, from: 1, to: 9 }, 'error: to is 9; give a whole number from 1 to 1'),
      use('calculate', { expression: '1' }, '1'),
    ];
    expect(coverByTools(documents, uses)).toEqual({
      pages_total: 6,
      pages_read: 2,
      skipped: [
        { document: 1, from: 3, to: 3, reason: 'not_opened' },
        { document: 1, from: 4, to: 4, reason: 'searched' },
        { document: 1, from: 5, to: 5, reason: 'not_opened' },
        { document: 2, from: 1, to: 1, reason: 'not_opened' },
      ],
    });
  });

  it('does not count a page as read that the tool has cut', () => {
    const long = [paginate('a.md', `one\f${'two '.repeat(10_000)}\fthree`)];
    const result = buildReadPages(long).run({ document: 1, from: 1, to: 3 });
    const uses = [use('read_pages', { document: 1, from: 1, to: 3 }, result)];
    expect(coverByTools(long, uses)).toEqual({
      pages_total: 3,
      pages_read: 1,
      skipped: [
        { document: 1, from: 2, to: 2, reason: 'cut' },
        { document: 1, from: 3, to: 3, reason: 'not_opened' },
      ],
    });
  });
});
