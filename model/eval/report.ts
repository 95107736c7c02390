import type { CacheCheck } from './cached.ts';
import { type GoalRow, goalRows, renderGoals } from './goals.ts';
import { type Paired, renderPaired } from './paired.ts';
import type { Cost, Results } from './session.ts';
import { type Row, renderRows, summarize, summarizeBy } from './table.ts';

/** `evaluation.json`. */
export interface Report {
  readonly version: 2;
  readonly model: { readonly id: string; readonly digest: string };
  readonly precision: string;
  readonly goals: readonly GoalRow[];
  readonly sets: readonly Row[];
  readonly kinds: readonly Row[];
  readonly reflection: Paired | null;
  readonly precisions: Paired | null;
  readonly cache: CacheCheck | null;
  readonly cost: Cost & { readonly questions: number; readonly machine: string };
}

/** @param machine in words: what the seconds were measured on */
export function buildReport(results: Results, precision: string, machine: string): Report {
  const { sets } = results;
  const scores = sets.flatMap(({ answers }) => answers.map(({ score }) => score));
  return {
    version: 2,
    model: results.model,
    precision,
    goals: goalRows(results),
    sets: sets.map(({ name, answers }) =>
      summarize(
        name,
        answers.map(({ score }) => score),
      ),
    ),
    kinds: summarizeBy(scores, ({ kind }) => kind),
    reflection: results.reflection,
    precisions: results.precision,
    cache: results.cache,
    cost: { ...results.cost, questions: scores.length, machine },
  };
}

/** Markdown: goals first, then what they are made of. */
export function renderReport(report: Report): string {
  const { goals, sets, kinds, reflection, precisions, cost, precision } = report;
  const pairs = [reflection, precisions].filter((one) => one !== null);
  return [
    renderGoals(goals),
    renderRows('documents and questions', sets),
    renderRows('kind of question', kinds),
    ...(pairs.length === 0 ? [] : [renderPaired(pairs)]),
    describeCost(cost, precision),
  ].join('\n\n');
}

function describeCost({ questions, seconds, machine, ...cost }: Report['cost'], precision: string): string {
  const [prompt, cached, written] = [cost.promptTokens, cost.cachedTokens, cost.completionTokens].map(grouped);
  return `${questions} questions in ${precision}, greedy; the whole run took ${seconds} s (${cost.processorSeconds} s of processor) on ${machine}: ${prompt} prompt tokens, ${cached} of them from cached pages, ${written} written.`;
}

const grouped = (value: number): string => value.toLocaleString('en-US');
