import { describe, expect, it } from 'vitest';
import { insertEvaluation } from '../../../model/eval/card.ts';
import type { EvaluationQuestion } from '../../../model/eval/evaluation-set.ts';
import { readDemoSet, readGeneratedSets } from '../../../model/eval/evaluation-set.ts';
import { plotRows } from '../../../model/eval/plot.ts';
import { isSame, score, wordOverlap } from '../../../model/eval/score.ts';
import { renderRows, summarize, summarizeBy } from '../../../model/eval/table.ts';

const question: EvaluationQuestion = {
  question: 'What is the fee of Arden?',
  kind: 'look-up',
  answer: 'EUR 1,200',
  found: true,
  rivals: { type: 3, attribute: 3, entity: 0 },
  tools: false,
};

const reply = (fields: Readonly<Record<string, unknown>>, isAnswered = true) => ({
  isAnswered,
  body: {
    parsed: true,
    answer: 'EUR 1,200',
    found: true,
    citations: [{ quote: 'fee of Arden is EUR 1,200', verified: true }],
    ext: {},
    ...fields,
  },
});

describe('score', () => {
  it('takes an answer that is right, cited, and beside others of its attribute', () => {
    expect(score(question, reply({}))).toEqual({
      kind: 'look-up',
      isValid: true,
      isExact: true,
      f1: 1,
      isCited: true,
      isContested: true,
      guess: 0.25,
      toolCalls: 0,
      refusedCalls: 0,
    });
  });

  it.each([
    ['another value', { answer: 'EUR 1,300' }, { isExact: false, f1: 2 / 3 }],
    ['the right value as not found', { found: false }, { isExact: false }],
    ['a quote that is not on its page', { citations: [{ quote: 'EUR 1,200', verified: false }] }, { isCited: false }],
    ['a quote of another fact', { citations: [{ quote: 'fee of Bell', verified: true }] }, { isCited: false }],
    ['text that is no JSON', { parsed: false, answer: null }, { isValid: false, isExact: false, f1: 0 }],
  ])('sees %s', (_, fields, expected) => {
    const seen = score(question, reply(fields));
    for (const [name, value] of Object.entries(expected)) expect(seen).toHaveProperty(name, value);
  });

  it('counts calls and those that were refused, and a line that failed', () => {
    const calls = [{ error: null }, { error: 'error: no such page' }];
    expect(score(question, reply({ ext: { tool_calls: calls } }))).toMatchObject({ toolCalls: 2, refusedCalls: 1 });
    expect(score(question, { isAnswered: false, body: { error: {} } })).toMatchObject({
      isValid: false,
      isExact: false,
    });
  });

  it('asks for no quote where the document says nothing', () => {
    const absent = { ...question, answer: 'The document does not say.', found: false };
    const seen = score(absent, reply({ answer: 'The document does not say.', found: false, citations: [] }));
    expect(seen).toMatchObject({ isExact: true, isCited: null });
  });

  it('tells a number from its text', () => {
    expect([isSame(5, '5'), isSame(5, 5), isSame('a  b', 'a b'), isSame(['x'], ['x'])]).toEqual([
      false,
      true,
      true,
      true,
    ]);
    expect(wordOverlap('12 May', '12 June')).toBeCloseTo(0.5);
  });
});

describe('summarize', () => {
  it('sets the contested row beside the guess', () => {
    const right = score(question, reply({}));
    const wrong = score(question, reply({ answer: 'EUR 9' }));
    const row = summarize('set', [right, wrong, { ...right, isContested: false }]);
    expect(row).toMatchObject({ questions: 3, exact: 0.6667, contested: { questions: 2, exact: 0.5, guess: 0.25 } });
    expect(renderRows('documents', [row])).toContain(
      '| set | 3 | 67 % | 80 % | 50 % of 2 (guess 25 %) | 100 % | 100 % | – |',
    );
    expect(summarizeBy([right, { ...wrong, kind: 'absence' }], ({ kind }) => kind).map(({ name }) => name)).toEqual([
      'look-up',
      'absence',
    ]);
    expect(plotRows([row])).toMatch(/^<svg .*67 % of 3.*<\/svg>\n$/s);
  });
});

describe('insertEvaluation', () => {
  it('replaces what stands between its marks, and refuses a card without them', () => {
    const card = 'a\n<!-- evaluation -->\nold\n<!-- /evaluation -->\nb\n';
    const twice = insertEvaluation(insertEvaluation(card, 'new'), 'newer');
    expect(twice).toBe('a\n<!-- evaluation -->\nnewer\n<!-- /evaluation -->\nb\n');
    expect(() => insertEvaluation('a', 'new')).toThrow('<!-- evaluation -->');
  });
});

describe('the evaluation set', () => {
  it('has questions whose answers stand in their documents where they are to be looked up', async () => {
    const sets = await readGeneratedSets();
    let looked = 0;
    for (const { documents } of sets) {
      for (const { text, questions } of documents) {
        for (const { kind, answer } of questions) {
          if (kind !== 'look-up') continue;
          expect(text).toContain(answer);
          looked++;
        }
      }
    }
    expect(looked).toBeGreaterThan(200);
    expect((await readDemoSet()).documents.length).toBe(4);
  });
});
