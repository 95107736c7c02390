import { describe, expect, it } from 'vitest';
import { compareReplies } from '../../../model/eval/cached.ts';
import { insertEvaluation } from '../../../model/eval/card.ts';
import { goalRows, renderGoals } from '../../../model/eval/goals.ts';
import { pair, pointsOf } from '../../../model/eval/paired.ts';
import { plotRows } from '../../../model/eval/plot.ts';
import { buildReport, renderReport } from '../../../model/eval/report.ts';
import { renderRows, summarize, summarizeBy } from '../../../model/eval/table.ts';
import { answered, lookUp, reply, setOf } from '../../support/evaluation-samples.ts';

const right = answered(lookUp);
const wrong = answered({ ...lookUp, question: 'Other?' }, { answer: 'EUR 9' });
const scored = (goal: string, all: readonly (typeof right)[]) => [{ name: 'set', goal, answers: all }];
const none = { precision: null, cache: null };

describe('summarize', () => {
  it('sets what was reached beside the guess', () => {
    const scores = [right.score, wrong.score, { ...right.score, isContested: false, guess: null }];
    const row = summarize('set', scores);
    expect(row).toMatchObject({
      questions: 3,
      exact: 0.6667,
      guess: 0.1667,
      cited: 1,
      contested: { questions: 2, exact: 0.5, guess: 0.25 },
    });
    expect(renderRows('documents', [row])).toContain(
      '| set | 3 | 67 % | 17 % | 80 % | 50 % of 2 (guess 25 %) | 100 % | 100 % | – |',
    );
    const byKind = summarizeBy([right.score, { ...wrong.score, kind: 'absence' }], ({ kind }) => kind);
    expect(byKind.map(({ name, exact }) => [name, exact])).toEqual([
      ['look-up', 1],
      ['absence', 0],
    ]);
  });

  it('draws groups of bars, with the guess as a mark where there is one', () => {
    const [known, unknown] = [summarize('a < b', [right.score]), summarize('b', [{ ...right.score, guess: null }])];
    const plot = plotRows([
      { title: 'lengths', rows: [known] },
      { title: 'kinds', rows: [unknown] },
    ]);
    expect(plot).toMatch(/^<svg .*lengths.*a &lt; b.*100 % of 1.*kinds.*<\/svg>\n$/s);
    expect(plot.match(/#c0392b/g)).toHaveLength(1);
  });
});

describe('the goals', () => {
  const rowOf = (goal: string, all: readonly (typeof right)[], start: string) =>
    goalRows({ sets: scored(goal, all), ...none }).find(({ name }) => name.startsWith(start));

  it('count the questions of their sets, and are not rounded up', () => {
    const twenty = Array.from({ length: 19 }, () => right);
    const row = rowOf('1K', [...twenty, wrong, wrong], 'look-up and section-scoped');
    expect(row).toMatchObject({ goal: '≥ 95 %', reached: '90 % (19 of 21)', isReached: false });
    expect(rowOf('1K', [...twenty, wrong], 'look-up and section-scoped')?.isReached).toBe(true);
    expect(rowOf('1K', twenty, 'the same, 16K')).toMatchObject({ reached: null, isReached: null });
  });

  it('leave out of the first row what one of the keys alone would answer', () => {
    const easy = answered({ ...lookUp, needsBoth: false }, { answer: 'EUR 9' });
    expect(rowOf('evidence', [right, easy], 'look-up, evidence')?.reached).toBe('100 % (1 of 1)');
  });

  it('count citations over right answers that have something to cite', () => {
    const uncited = answered(lookUp, { citations: [] });
    const absent = answered({ ...lookUp, found: false }, { found: false, citations: [] });
    const all = [right, uncited, wrong, absent];
    expect(rowOf('', all, 'citations')).toMatchObject({
      reached: '50 % (1 of 2); in 0 the model named another page',
      isReached: false,
    });
    const moved = { ...right, score: { ...right.score, isMoved: true } };
    expect(rowOf('', [moved], 'citations')?.reached).toBe('100 % (1 of 1); in 1 the model named another page');
  });

  it('want all JSON valid and all calls accepted', () => {
    const calls = answered(lookUp, { ext: { tool_calls: [{ error: null }, { error: 'error: no' }] } });
    expect(rowOf('', [right, calls], 'schema-valid')).toMatchObject({ goal: '100 %', isReached: true });
    expect(rowOf('', [right, calls], 'tool calls')).toMatchObject({ reached: '50 % (1 of 2)', isReached: false });
    expect(rowOf('', [answered(lookUp, { parsed: false })], 'schema-valid')?.isReached).toBe(false);
  });

  it('allow INT4 a point, and nothing to pages', () => {
    const precision = { name: '', questions: 100, before: 80, after: 79, gained: 1, lost: 2 };
    const cache = { questions: 4, identical: 3, void: 1, cachedTokens: 900 };
    const last = (points: number) =>
      goalRows({ sets: [], cache, precision: { ...precision, after: 80 + points } }).slice(-2);
    expect(last(-1)).toMatchObject([
      { reached: '-1.0 points of 100', isReached: true },
      { reached: '3 of 4, 1 not read as meant', isReached: false },
    ]);
    expect(last(-2)[0]?.isReached).toBe(false);
    expect(renderGoals(last(2))).toContain('| ≤ 1 point | +2.0 points of 100 | ✓ |');
  });
});

describe('pair', () => {
  it('tells gains from losses, question by question', () => {
    const set = setOf('a', '', [4]).documents[0]?.questions ?? [];
    const first = set.map((question, index) => answered(question, index < 2 ? {} : { answer: 'no' }));
    const second = set.map((question, index) => answered(question, index % 2 === 0 ? {} : { answer: 'no' }));
    const paired = pair('x', first, second.slice(0, 3));
    expect(paired).toEqual({ name: 'x', questions: 3, before: 2, after: 2, gained: 1, lost: 1 });
    expect(pointsOf({ ...paired, after: 1 })).toBeCloseTo(-33.3, 1);
    expect(() => pair('x', first, [wrong])).toThrow('asked only once: Other?');
  });
});

describe('compareReplies', () => {
  const usage = (cached: number) => ({
    usage: { prompt_tokens: 100, completion_tokens: 1, prompt_tokens_details: { cached_tokens: cached } },
  });
  const document = { name: 'a', text: 'b', questions: [] };
  const both = (cached: object, uncached: object) => ({
    document,
    question: lookUp,
    cached: reply({ ...usage(64), ...cached }),
    uncached: reply({ ...usage(0), ...uncached }),
  });

  it('counts those that say the same, thought included', () => {
    const asked = [both({}, {}), both({ reasoning_content: 'a' }, { reasoning_content: 'b' })];
    expect(compareReplies(asked)).toEqual({ questions: 2, identical: 1, void: 0, cachedTokens: 128 });
  });

  it('takes for nothing what was read the wrong way', () => {
    expect(compareReplies([both(usage(0), {}), both({}, usage(64))])).toMatchObject({ identical: 0, void: 2 });
  });
});

describe('the report', () => {
  const results = {
    model: { id: 'nano', digest: 'd' },
    sets: scored('1K', [right, wrong]),
    precision: { name: 'full precision and INT4', questions: 2, before: 1, after: 1, gained: 0, lost: 0 },
    reflection: null,
    cache: null,
    cost: { seconds: 9, processorSeconds: 17, promptTokens: 12_345, cachedTokens: 1_000, completionTokens: 99 },
  };

  it('has goals, sets, kinds, comparisons and cost, as Markdown and as figures', () => {
    const report = buildReport(results, 'int4', '2 threads');
    expect(report).toMatchObject({ version: 2, cost: { questions: 2 }, sets: [{ name: 'set' }] });
    const text = renderReport(report);
    const heads = [
      '| to reach',
      '| documents and questions',
      '| kind of question',
      '| the same questions',
      '2 questions',
    ];
    expect(heads.map((head) => text.indexOf(head))).toEqual(
      [...heads.map((head) => text.indexOf(head))].sort((a, b) => a - b),
    );
    expect(heads.every((head) => text.includes(head))).toBe(true);
    expect(text).toContain('12,345 prompt tokens');
  });

  it('replaces what stands between the marks of a card, and refuses a card without them', () => {
    const card = 'a\n<!-- evaluation -->\nold\n<!-- /evaluation -->\nb\n';
    const twice = insertEvaluation(insertEvaluation(card, 'new'), 'newer');
    expect(twice).toBe('a\n<!-- evaluation -->\nnewer\n<!-- /evaluation -->\nb\n');
    expect(() => insertEvaluation('a', 'new')).toThrow('<!-- evaluation -->');
  });
});
