import { describe, expect, it } from 'vitest';
import { buildAnswerSchema } from '../../../src/pipeline/answer.schema.ts';
import { paginate } from '../../../src/pipeline/document/parse-document.ts';
import { parseJsonAnswer, parseTextAnswer } from '../../../src/pipeline/parse-answer.ts';

const lease = paginate(
  'lease.md',
  "The lease ends on 1 May.\n\f\nEither party may end it by giving\nsixty (60) days' notice.",
);

describe('parseJsonAnswer', () => {
  it('finds a quote on its page whatever the white space, with its place in the whole text', () => {
    const quote = "by giving sixty (60)  days' notice";
    const content = JSON.stringify({ answer: '60 days', citations: [{ document: 1, page: 2, quote }], found: true });
    const { answer, parsed, citations } = parseJsonAnswer(content, [lease]);
    expect({ answer, parsed }).toEqual({ answer: '60 days', parsed: true });
    const [citation] = citations;
    expect(citation?.verified).toBe(true);
    expect(lease.text.slice(citation?.start ?? 0, citation?.end ?? 0)).toBe("by giving\nsixty (60) days' notice");
  });

  it('takes away white space around an answer, the entries of a list and a quote, and no other', () => {
    const said = (answer: unknown) => {
      const citations = [{ document: 1, page: 1, quote: ' ends on  1 May\n' }];
      return parseJsonAnswer(JSON.stringify({ answer, citations, found: true }), [lease]);
    };
    expect(said(' 1  May ').answer).toBe('1  May');
    expect(said([' a', 2, ['b ']]).answer).toEqual(['a', 2, ['b']]);
    expect(said({ ' day': ' 1 May' }).answer).toEqual({ ' day': ' 1 May' });
    expect(said('x').citations[0]).toMatchObject({ quote: 'ends on  1 May', verified: true });
  });

  it.each([
    [
      '… between a heading and what stands below',
      'Either party … by … sixty (60)',
      'Either party may end it by giving\nsixty (60)',
    ],
    ['three full stops', 'party ... giving sixty', 'party may end it by giving\nsixty'],
    ['… at its end', 'sixty (60)…', 'sixty (60)'],
  ])('finds the parts of a quote with %s', (_, quote, found) => {
    const content = JSON.stringify({ answer: 1, citations: [{ document: 1, page: 2, quote }], found: true });
    const [citation] = parseJsonAnswer(content, [lease]).citations;
    expect(citation?.verified).toBe(true);
    expect(lease.text.slice(citation?.start ?? 0, citation?.end ?? 0)).toBe(found);
  });

  it('gives the words of the page for a quote that nearly stands there, and says what was written', () => {
    const quote = "by giving of sixty (60) days' notice";
    const content = JSON.stringify({ answer: 1, citations: [{ document: 1, page: 2, quote }], found: true });
    const [citation] = parseJsonAnswer(content, [lease]).citations;
    expect(citation).toMatchObject({ quote: "by giving sixty (60) days' notice", verified: true, written: quote });
    expect(lease.text.slice(citation?.start ?? 0, citation?.end ?? 0)).toBe("by giving\nsixty (60) days' notice");
  });

  it('finds a quote as whole words, and within others only where it stands nowhere else', () => {
    const plan = paginate('plan.md', 'The term of Ash is 144 months. The term of Elm is 44 months.');
    const startOf = (quote: string) => {
      const content = JSON.stringify({ answer: 1, citations: [{ document: 1, page: 1, quote }], found: true });
      return parseJsonAnswer(content, [plan]).citations[0]?.start;
    };
    expect(startOf('44 months')).toBe(plan.text.lastIndexOf('44 months'));
    expect(startOf('44 mon')).toBe(plan.text.indexOf('44 mon'));
  });

  it('gives the page of a quote that stands on exactly one other, and says which was written', () => {
    const report = paginate(
      'report.md',
      'Ash owes 440.\fElm owes 44. Oak owes 7.\fYew owes 7, and all pay 5.\fAll pay 5.',
    );
    const cite = (page: number, quote: string) => {
      const content = JSON.stringify({ answer: 1, citations: [{ document: 1, page, quote }], found: true });
      return parseJsonAnswer(content, [report]).citations[0];
    };
    expect(cite(4, 'owes 44')).toEqual({
      document: 1,
      page: 2,
      start: report.text.indexOf('owes 44.'),
      end: report.text.indexOf('owes 44.') + 7,
      quote: 'owes 44',
      verified: true,
      written: null,
      written_page: 4,
      context: 'Elm owes 44.',
    });
    // where it stands on its page nothing is looked for, and two pages are none
    expect(cite(3, 'owes 7')).toMatchObject({ page: 3, verified: true, written_page: null });
    expect(cite(1, 'owes 7')).toMatchObject({ page: 1, verified: false, written_page: null });
    expect(cite(1, 'pay 5')).toMatchObject({ page: 1, verified: false });
    expect(cite(2, 'owes 4')).toMatchObject({ page: 2, verified: true, written_page: null });
    expect(cite(3, 'owes 4')).toMatchObject({ page: 3, verified: false });
    expect(cite(9, 'owes 44')).toMatchObject({ page: 2, verified: true, written_page: 9 });
  });

  it('shows the sentence in which a quote stands', () => {
    const content = JSON.stringify({
      answer: 1,
      citations: [
        { document: 1, page: 2, quote: 'sixty (60) days' },
        { document: 1, page: 1, quote: 'seventy (70) days' },
      ],
      found: true,
    });
    const [found, missed] = parseJsonAnswer(content, [lease]).citations;
    expect(found?.context).toBe("Either party may end it by giving sixty (60) days' notice.");
    expect(missed?.context).toBeNull();
  });

  it.each([
    ['only left-out words', { document: 1, page: 2, quote: ' … ' }],
    ['parts in another order', { document: 1, page: 2, quote: 'sixty (60) … Either party' }],
    ['parts of which one is not there', { document: 1, page: 2, quote: 'Either party … sixty (61)' }],
    ['another page, within a word', { document: 1, page: 1, quote: 'sixty (60) day' }],
    ['a page that is not there', { document: 1, page: 9, quote: 'leases' }],
    ['a document that is not there', { document: 2, page: 1, quote: 'lease' }],
    ['no words', { document: 1, page: 1, quote: '  ' }],
    ['words that look like a pattern', { document: 1, page: 1, quote: '.*' }],
  ])('does not verify a quote from %s', (_, citation) => {
    const content = JSON.stringify({ answer: 1, citations: [citation], found: true });
    expect(parseJsonAnswer(content, [lease]).citations[0]).toMatchObject({ verified: false, start: null, end: null });
  });

  it.each([
    '',
    '{"answer":"cut of',
    '[]',
    '{"answer":1,"citations":[{}],"found":true}',
    '{"citations":[],"found":false}',
  ])('keeps %j as raw text of a finished line', (content) => {
    expect(parseJsonAnswer(content, [lease])).toEqual({
      parsed: false,
      answer: null,
      found: null,
      citations: [],
      raw: content,
    });
  });
});

describe('parseTextAnswer', () => {
  it('reads citations that exist', () => {
    const { answer, citations } = parseTextAnswer(' Sixty days [1, p. 2], not [1, p. 7]. ', [lease]);
    expect(answer).toBe('Sixty days [1, p. 2], not [1, p. 7].');
    expect(citations.map(({ page }) => page)).toEqual([2]);
  });
});

describe('buildAnswerSchema', () => {
  it('moves references of the caller schema with it', () => {
    const schema = { $ref: '#/$defs/money', $defs: { money: { type: 'number' } } };
    const built = buildAnswerSchema(schema, 1, 14) as { properties: { answer: unknown } };
    expect(built.properties.answer).toEqual({
      $ref: '#/properties/answer/$defs/money',
      $defs: { money: { type: 'number' } },
    });
  });
});
