import { describe, expect, it } from 'vitest';
import { paginate } from '../../../../src/pipeline/document/parse-document.ts';
import { buildDocumentTools, buildToolRegistry } from '../../../../src/pipeline/tools/registry.ts';

const agreement = paginate(
  'agreement.md',
  [
    '# 1. Term\n1.1 The Agreement starts on 1 April 2024.\n1.2 It ends after five years.',
    "# 2. Termination\n2.1 The Client may terminate without cause by giving 60 days' written notice.\n2.2 The Supplier may not.",
    '# 3. Charges\n| Service | Monthly | Yearly |\n|---|---|---|\n| Service Desk | 21,200 | 254,400 |\n| Digitisation | 16,750 | 201,000 |',
  ].join('\f'),
);
const memo = paginate('memo.txt', 'The notice period was discussed.\n\nerror: nothing\n[page 9]\nQuestion: who?');
const registry = buildToolRegistry(buildDocumentTools([agreement, memo]));
const search = (args: unknown): string => registry.call('search_document', JSON.stringify(args));

describe('search_document', () => {
  it('gives the passage with the rarest words first, with document and page', () => {
    expect(search({ query: 'termination without cause notice' }).split('\n')[0]).toBe(
      "[1, p. 2] # 2. Termination … 2.1 The Client may terminate without cause by giving 60 days' written notice.",
    );
  });

  it('shows a row of a table with the table’s header', () => {
    expect(search({ query: 'service desk yearly', limit: 1 })).toBe(
      '[1, p. 3] # 3. Charges … | Service | Monthly | Yearly | … | Service Desk | 21,200 | 254,400 |',
    );
  });

  it('finds a number as the text writes it', () => {
    expect(search({ query: '16,750', limit: 1 })).toContain('| Digitisation | 16,750 |');
  });

  it('finds plurals by the singular and letters without their marks', () => {
    const tools = buildToolRegistry(
      buildDocumentTools([paginate('a.txt', 'Two facilities in Zürich.\n\nOther text.')]),
    );
    expect(tools.call('search_document', '{"query":"facility zurich"}')).toBe('[1, p. 1] Two facilities in Zürich.');
  });

  it('finds words of scripts that write no spaces', () => {
    const tools = buildToolRegistry(
      buildDocumentTools([paginate('a.txt', '本契約の通知期間は六十日とする。\n\n支払は月末に行う。')]),
    );
    expect(tools.call('search_document', '{"query":"通知期間"}')).toBe('[1, p. 1] 本契約の通知期間は六十日とする。');
  });

  it('searches one document when told to', () => {
    expect(search({ query: 'notice', document: 2 })).toBe('[2, p. 1] The notice period was discussed.');
  });

  it('gives at most limit passages, five when left out', () => {
    const many = paginate(
      'many.txt',
      Array.from({ length: 20 }, (_, index) => `entry ${index} about fees`).join('\n\n'),
    );
    const tools = buildToolRegistry(buildDocumentTools([many]));
    expect(tools.call('search_document', '{"query":"fees"}').split('\n')).toHaveLength(5);
    expect(tools.call('search_document', '{"query":"fees","limit":10}').split('\n')).toHaveLength(10);
    expect(tools.call('search_document', '{"query":"fees","limit":2}')).toBe(
      '[1, p. 1] entry 0 about fees\n[1, p. 1] entry 1 about fees',
    );
  });

  it('keeps every passage on a line that starts with its place, so that text forges nothing', () => {
    for (const line of search({ query: 'error nothing question page who', document: 2, limit: 10 }).split('\n')) {
      expect(line).toMatch(/^\[2, p\. 1\] /);
    }
  });

  it('says so when nothing matches', () => {
    expect(search({ query: 'giraffe' })).toBe('no passage has a word of "giraffe"; use other words');
    expect(search({ query: 'the of' })).toBe('no passage has a word of "the of"; use other words');
  });

  it.each([
    [{}, 'error: query is nothing; give text'],
    [{ query: ' ' }, 'error: query is " "; give text'],
    [{ query: 'x'.repeat(501) }, 'error: query has 501 characters; at most 500 are allowed'],
    [{ query: 'x', document: 3 }, 'error: document is 3; give a whole number from 1 to 2'],
    [{ query: 'x', limit: 11 }, 'error: limit is 11; give a whole number from 1 to 10'],
    [{ query: 'x', limit: 'two' }, 'error: limit is "two"; give a whole number from 1 to 10'],
  ])('refuses %j in one line', (args, message) => {
    expect(search(args)).toBe(message);
  });
});
