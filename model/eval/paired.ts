import type { Answered } from './evaluate.ts';
import { percent, renderTable } from './table.ts';

/** The same questions asked in two ways. */
export interface Paired {
  readonly name: string;
  readonly questions: number;
  /** Exact answers. */
  readonly before: number;
  readonly after: number;
  /** Exact one way only. */
  readonly gained: number;
  readonly lost: number;
}

/** @throws Error when a question of `after` was not asked before */
export function pair(name: string, before: readonly Answered[], after: readonly Answered[]): Paired {
  const known = new Map(before.map(({ question, score }) => [question, score.isExact]));
  const pairs = after.map(({ question, score }) => {
    const was = known.get(question);
    if (was === undefined) throw new Error(`asked only once: ${question.question}`);
    return { was, is: score.isExact };
  });
  const count = (holds: (one: { readonly was: boolean; readonly is: boolean }) => boolean): number =>
    pairs.filter(holds).length;
  return {
    name,
    questions: pairs.length,
    before: count(({ was }) => was),
    after: count(({ is }) => is),
    gained: count(({ was, is }) => is && !was),
    lost: count(({ was, is }) => was && !is),
  };
}

/** Percentage points that `after` is above `before`. */
export function pointsOf({ questions, before, after }: Paired): number {
  return questions === 0 ? 0 : (100 * (after - before)) / questions;
}

export function renderPaired(pairs: readonly Paired[]): string {
  return renderTable(
    ['the same questions asked twice', 'questions', 'exact, first', 'exact, second', 'points', 'gained', 'lost'],
    pairs.map((one) => [
      one.name,
      String(one.questions),
      percent(one.before / Math.max(one.questions, 1)),
      percent(one.after / Math.max(one.questions, 1)),
      signed(pointsOf(one)),
      String(one.gained),
      String(one.lost),
    ]),
  );
}

export const signed = (points: number): string => `${points > 0 ? '+' : ''}${points.toFixed(1)}`;
