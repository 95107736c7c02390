import { describe, expect, it } from 'vitest';
import { buildBatchFile, type DemoDocument } from '../../../src/cli/demo/demo-input.ts';
import { judge, type ResultBody } from '../../../src/cli/demo/judge.ts';
import { renderAnswers } from '../../../src/cli/demo/render.ts';

const question = {
  id: 'rent',
  question: 'What is the rent of Lot 4?',
  answer: 'GBP 40',
  found: true,
  page: 2,
  quote: 'rent of Lot 4 is GBP 40',
};
const documents: readonly DemoDocument[] = [
  { file: 'other.md', title: 'Other', tools: false, questions: [{ ...question, answer: 'GBP 7' }] },
  { file: 'lease.md', title: 'Lease', tools: true, questions: [question] },
];

const body = (more: Partial<ResultBody> = {}): ResultBody => ({
  answer: 'GBP 40',
  found: true,
  parsed: true,
  citations: [
    { page: 2, quote: 'rent of Lot 4\nis GBP  40', verified: true, context: 'The rent of Lot 4 is GBP 40 a month.' },
  ],
  usage: { prompt_tokens: 500, completion_tokens: 60, prompt_tokens_details: { cached_tokens: 256 } },
  ext: {},
  ...more,
});

const judged = (more: Partial<ResultBody> = {}) => judge(documents, 'lease/rent', body(more));

describe('judge', () => {
  it('takes an answer that is its document’s and shown by a quote, apart from white space', () => {
    expect(judged()).toMatchObject({ isRight: true, isShown: true, document: documents[1] });
  });

  it.each([
    ['another value', { answer: 'GBP 7' }],
    ['the value as a part of another', { answer: 'GBP 40,000' }],
    ['a number for a text', { answer: 40 }],
    ['what was said not to be found', { found: false }],
    ['text that is no answer', { parsed: false, answer: null, found: null }],
  ])('takes %s for wrong, whatever is quoted', (_, more) => {
    expect(judged(more)).toMatchObject({ isRight: false, isShown: false });
  });

  it.each([
    ['no quote', []],
    [
      'a quote that does not stand there',
      [{ page: 2, quote: 'rent of Lot 4 is GBP 40', verified: false, context: null }],
    ],
    [
      'a quote of another fact',
      [{ page: 1, quote: 'rent of Lot 5 is GBP 7', verified: true, context: 'The rent of Lot 5 is GBP 7.' }],
    ],
  ])('sees no proof in %s', (_, citations) => {
    expect(judged({ citations })).toMatchObject({ isRight: true, isShown: false });
  });

  it('refuses a line that was not asked', () => {
    expect(() => judge(documents, 'lease/owner', body())).toThrow('no question of the demo has the line "lease/owner"');
  });
});

describe('renderAnswers', () => {
  it('shows answer, place and quote, and what it cost', () => {
    expect(renderAnswers([judged()])).toBe(`✓ lease/rent: What is the rent of Lot 4?
    GBP 40
    lease.md, page 2: "The rent of Lot 4 is GBP 40 a month."
    searched; 500 tokens read, 256 of them from the prefix cache, 60 written`);
  });

  it('says what is wrong, and moves no cursor', () => {
    const wrong = judge(
      documents,
      'other/rent',
      body({ answer: 'GBP\u001b[2J 9', citations: [{ page: 1, quote: 'no', verified: false, context: null }] }),
    );
    expect(
      renderAnswers([wrong, judged({ parsed: false, citations: [] }), judged({ answer: null, found: false })]),
    ).toMatch(
      /^✗ other\/rent: .*\n {4}GBP·\[2J 9 {3}\(wrong: the document says GBP 7\)\n {4}other\.md, page 1: "no" {3}\(these words do not stand there\)\n {4}read whole; .*\n✗ lease\/rent: .*\n {4}\(no finished answer\).*\n {4}searched; .*\n✗ lease\/rent: .*\n {4}null, not found/,
    );
  });
});

describe('buildBatchFile', () => {
  it('lets the long document be searched, and the short one be read whole', () => {
    const lines = buildBatchFile(
      'nano',
      documents.map((document, index) => ({ document, fileId: `file-${index}` })),
    )
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ custom_id }) => custom_id)).toEqual(['other/rent', 'lease/rent']);
    expect(lines[0].body).not.toHaveProperty('tools');
    expect(lines[1].body).toMatchObject({ tools: true, documents: [{ file_id: 'file-1' }], temperature: 0 });
  });
});
