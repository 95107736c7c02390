import { describe, expect, it } from 'vitest';
import { evaluateSet } from '../../../model/eval/evaluate.ts';
import type { EvaluationQuestion } from '../../../model/eval/evaluation-set.ts';
import { readDemoSet, readGeneratedSets } from '../../../model/eval/evaluation-set.ts';
import { type Options, parseOptions } from '../../../model/eval/options.ts';
import type { Precision } from '../../../model/eval/product.ts';
import { chooseSets, spread, thinOut } from '../../../model/eval/select.ts';
import { Session } from '../../../model/eval/session.ts';
import { reply, setOf } from '../../support/evaluation-samples.ts';

const namesOf = (set: ReturnType<typeof setOf>) =>
  set.documents.flatMap(({ questions }) => questions.map(({ question }) => question));

describe('the choice of questions', () => {
  const sets = [setOf('4K tokens', '4K', [2, 2]), setOf('4K tokens by search', '', [1]), setOf('count', '', [3])];

  it('takes sets by name or by beginning, in their own order', () => {
    const chosen = (names: string) => chooseSets(sets, names).map(({ name }) => name);
    expect(chosen('all')).toHaveLength(3);
    expect(chosen('4K tokens')).toEqual(['4K tokens']);
    expect(chosen('count, 4K')).toEqual(['4K tokens', '4K tokens by search', 'count']);
    expect(() => chosen('4K,sum')).toThrow('sets has "sum", allowed: all, or beginnings of 4K tokens, 4K tokens by');
    expect(() => chosen('')).toThrow('sets has ""');
  });

  it('thins a set out evenly, always to the same questions', () => {
    const set = setOf('a', '', [3, 0, 4, 3]);
    expect(namesOf(thinOut(set, 4))).toEqual(['a 0.0?', 'a 0.2?', 'a 2.2?', 'a 3.0?']);
    expect(thinOut(set, 4).documents).toHaveLength(3);
    expect(thinOut(set, 1).documents).toHaveLength(1);
    expect(thinOut(set, 10)).toBe(set);
    expect(spread([1, 2, 3, 4, 5], 2)).toEqual([1, 3]);
  });
});

describe('the options', () => {
  it('have everything asked in INT4, and some of it in full precision', () => {
    expect(parseOptions([])).toMatchObject({ precision: 'int4', comparedPrecision: 'full', sets: 'all', out: null });
    expect(parseOptions(['--limit', '3']).limit).toBe(3);
    expect(parseOptions(['--precision', 'full'])).toMatchObject({ precision: 'full', comparedPrecision: null });
    expect(parseOptions(['--card', '--model', 'm', '--reflect', 'none'])).toMatchObject({ out: 'm', reflect: '' });
  });

  it.each([
    [['--limit', '0'], 'limit is "0", allowed: a whole number from 1'],
    [['--compare', '1.5'], 'compare is "1.5"'],
    [['--precision', 'int8'], 'precision has "int8", allowed: int4, full'],
    [['--precision', 'int4,int4'], 'precision is "int4,int4"'],
    [['--card', '--out', 'x'], 'leave out out'],
    [['--card', '--questions', 'x'], 'leave out questions'],
    [['--lmit', '3'], '--lmit'],
  ])('refuse %j', (args, message) => {
    expect(() => parseOptions(args)).toThrow(message);
  });
});

describe('evaluateSet', () => {
  it('asks the questions of a document together, few documents at a time, and keeps the order', async () => {
    const set = setOf('a', '', [4, 4, 4, 4, 4]);
    let open = 0;
    let most = 0;
    const scores = await evaluateSet(async (document, { question }) => {
      most = Math.max(most, ++open);
      // the first document ends last
      await new Promise((resolve) => setTimeout(resolve, document.name === 'a-0.md' ? 30 : 5));
      open--;
      return reply({ answer: question });
    }, set);
    expect(most).toBe(12);
    expect(scores.answers.map(({ question }) => question.question)).toEqual(namesOf(set));
    expect(scores.answers.every(({ reply: { body }, question }) => body['answer'] === question.question)).toBe(true);
  });
});

describe('a session', () => {
  const options: Options = {
    ...parseOptions(['--compare', '2', '--cached', '1', '--reflect', 'short document']),
    model: 'none',
  };
  const short = setOf('short document', 'evidence', [3]);
  const sets = [short, setOf('1K tokens', '1K', [2, 2]), setOf('16K tokens by search', '16K', [2])];

  /** Right where `isRight` says so; pages are kept of the document read last, unless the product keeps none. */
  function setUp(isRight: (question: EvaluationQuestion, precision: Precision, reflect: boolean) => boolean) {
    const opened: [Precision, boolean][] = [];
    const lines: string[] = [];
    let closed = 0;
    let kept: unknown = null;
    const session = new Session(
      options,
      sets,
      async (precision, { prefixCache = true }) => {
        opened.push([precision, prefixCache]);
        return {
          card: { id: 'nano', digest: 'd' } as never,
          ask: async (document, question, { reflect = false } = {}) => {
            const isKept = prefixCache && kept === document;
            kept = document;
            return reply({
              answer: isRight(question, precision, reflect) ? question.answer : 'EUR 9',
              usage: {
                prompt_tokens: 100,
                completion_tokens: 10,
                prompt_tokens_details: { cached_tokens: isKept ? 64 : 0 },
              },
            });
          },
          close: async () => {
            closed++;
          },
        };
      },
      (line) => lines.push(line),
    );
    return { session, opened, lines, closed: () => closed };
  }

  it('asks all sets, one of them with reflection, some questions without pages and some in full precision', async () => {
    const { session, opened, lines, closed } = setUp(
      (question, precision, reflect) => precision === 'full' || reflect || question.question !== 'short document 0.0?',
    );
    const results = await session.run();
    expect(opened).toEqual([
      ['int4', true],
      ['int4', false],
      ['full', true],
    ]);
    expect(closed()).toBe(3);
    expect(results.sets.map(({ answers }) => answers.length)).toEqual([3, 4, 2]);
    expect(results.reflection).toMatchObject({ questions: 3, before: 2, after: 3, gained: 1, lost: 0 });
    expect(results.cache).toEqual({ questions: 1, identical: 1, void: 0, cachedTokens: 64 });
    // the first question is one of the two, right in full precision only
    expect(results.precision).toMatchObject({ questions: 2, before: 2, after: 1, gained: 0, lost: 1 });
    // 9 questions, 3 with reflection, 2 in full precision
    expect(results.cost).toMatchObject({ promptTokens: 1_400, completionTokens: 140 });
    expect(lines[0]).toMatch(/^int4: short document: 3 questions, 67 % exact, \d+\.\d s$/);
    expect(lines).toHaveLength(7);
  });

  it('closes the product when a line cannot be answered at all', async () => {
    const { session, closed } = setUp(() => {
      throw new Error('the engine is gone');
    });
    await expect(session.run()).rejects.toThrow('the engine is gone');
    expect(closed()).toBe(1);
  });
});

describe('the questions', () => {
  it('can be answered and proved from their documents', async () => {
    const sets = await readGeneratedSets();
    for (const { documents } of sets) {
      for (const { text, questions } of documents) {
        for (const { found, evidence, answer, kind } of questions) {
          expect(evidence.length > 0).toBe(found);
          for (const value of evidence) expect(text).toContain(value);
          if (kind.endsWith('look-up')) expect(evidence).toEqual([answer]);
        }
        expect(new Set(questions.map(({ question }) => question)).size).toBe(questions.length);
      }
    }
    const counts = sets.map(({ documents }) => documents.reduce((total, { questions }) => total + questions.length, 0));
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(20);
    expect((await readDemoSet()).documents.length).toBeGreaterThan(0);
  });

  it('show every goal', async () => {
    const goals = new Set((await readGeneratedSets()).map(({ goal }) => goal));
    const wanted = ['evidence', 'evidence by search', '1K', '4K', '4K by search', '16K', '32K'];
    for (const goal of [...wanted, 'compare', 'count', 'sum', 'absence', 'unknown kind']) expect(goals).toContain(goal);
  });
});
