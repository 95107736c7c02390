import { describe, expect, it } from 'vitest';
import { isSame, score, wordOverlap } from '../../../model/eval/score.ts';
import { lookUp, reply } from '../../support/evaluation-samples.ts';

describe('score', () => {
  it('takes an answer that is right, cited, and beside others of its attribute', () => {
    expect(score(lookUp, reply())).toEqual({
      kind: 'look-up',
      isValid: true,
      isExact: true,
      f1: 1,
      isCited: true,
      isMoved: false,
      isContested: true,
      needsBoth: true,
      guess: 0.25,
      toolCalls: 0,
      refusedCalls: 0,
    });
  });

  it.each([
    ['another value', { answer: 'EUR 1,300' }, { isExact: false, f1: 2 / 3 }],
    ['the right value as not found', { found: false }, { isExact: false }],
    ['a quote that is not on its page', { citations: [{ quote: 'EUR 1,200', verified: false }] }, { isCited: false }],
    ['no quote', { citations: [] }, { isExact: true, isCited: false }],
    [
      'a quote on another page than was named',
      { citations: [{ quote: 'EUR 1,200', verified: true, written_page: 2 }] },
      { isCited: true, isMoved: true },
    ],
    ['a quote of another fact', { citations: [{ quote: 'fee of Bell', verified: true }] }, { isCited: false }],
    ['text that is no JSON', { parsed: false, answer: null }, { isValid: false, isExact: false, f1: 0 }],
  ])('sees %s', (_, fields, expected) => {
    const seen = score(lookUp, reply(fields));
    for (const [name, value] of Object.entries(expected)) expect(seen).toHaveProperty(name, value);
  });

  it('counts calls and those that were refused, and a line that failed', () => {
    const calls = [{ error: null }, { error: 'error: no such page' }];
    expect(score(lookUp, reply({ ext: { tool_calls: calls } }))).toMatchObject({ toolCalls: 2, refusedCalls: 1 });
    expect(score(lookUp, { isAnswered: false, body: { error: {} } })).toMatchObject({
      isValid: false,
      isExact: false,
    });
  });

  it('takes `found` for what it is asked, and no quote, where the document says nothing', () => {
    const absent = { ...lookUp, answer: 'The document does not say.', found: false, evidence: [] };
    const silent = { answer: 'Nothing is said of it.', found: false, citations: [] };
    expect(score(absent, reply(silent))).toMatchObject({ isExact: true, f1: 1, isCited: null });
    expect(score(absent, reply({ ...silent, found: true })).isExact).toBe(false);
    expect(score(absent, reply({ ...silent, citations: [{ quote: 'fee', verified: true }] })).isExact).toBe(false);
  });

  it('wants all values that prove an answer to be quoted, in one quote or in several', () => {
    const sum = { ...lookUp, answer: 12, evidence: ['EUR 5', 'EUR 7'] };
    const quotes = ['Arden pays EUR 5', 'Bell pays EUR  7'].map((quote) => ({ quote, verified: true }));
    const isCited = (citations: unknown) => score(sum, reply({ answer: 12, citations })).isCited;
    expect([
      isCited(quotes),
      isCited(quotes.slice(1)),
      isCited([{ quote: 'EUR 5 and EUR 7', verified: true }]),
    ]).toEqual([true, false, true]);
    expect(isCited(quotes.map((one) => ({ ...one, verified: false })))).toBe(false);
  });

  it.each([
    [5, '5', false],
    [5, 5, true],
    ['a  b', 'a b', true],
    [['x', 'y'], ['y', 'x'], true],
    [['x', 'x'], ['x'], false],
    [{ a: ' 1', b: [2] }, { b: [2], a: '1' }, true],
    [{ a: 1 }, { a: '1' }, false],
    [null, 'null', false],
  ])('takes %j for %j: %s', (left, right, same) => {
    expect(isSame(left, right)).toBe(same);
  });

  it('gives part of the credit for part of the words', () => {
    expect(wordOverlap('12 May', '12 June')).toBeCloseTo(0.5);
  });
});
