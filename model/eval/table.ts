import type { Score } from './score.ts';

/** One line of the report: shares from 0 to 1, null where nothing was asked that it could be a share of. */
export interface Row {
  readonly name: string;
  readonly questions: number;
  readonly exact: number;
  readonly f1: number;
  readonly valid: number;
  /** Of exact answers that the document holds: a verified quote contains the value. */
  readonly cited: number | null;
  /** Exact where another entity has the same attribute, beside what guessing among these gets. */
  readonly contested: { readonly questions: number; readonly exact: number; readonly guess: number } | null;
  readonly toolCalls: { readonly made: number; readonly accepted: number } | null;
}

export function summarize(name: string, scores: readonly Score[]): Row {
  const contested = scores.filter(({ isContested }) => isContested);
  const exact = scores.filter((one) => one.isExact && one.isCited !== null);
  const made = sum(scores.map(({ toolCalls }) => toolCalls));
  return {
    name,
    questions: scores.length,
    exact: share(scores, ({ isExact }) => isExact) ?? 0,
    f1: round(sum(scores.map(({ f1 }) => f1)) / Math.max(scores.length, 1)),
    valid: share(scores, ({ isValid }) => isValid) ?? 0,
    cited: share(exact, ({ isCited }) => isCited === true),
    contested:
      contested.length === 0
        ? null
        : {
            questions: contested.length,
            exact: share(contested, ({ isExact }) => isExact) ?? 0,
            guess: round(sum(contested.map(({ guess }) => guess)) / contested.length),
          },
    toolCalls: made === 0 ? null : { made, accepted: made - sum(scores.map(({ refusedCalls }) => refusedCalls)) },
  };
}

/** Rows by a property of the scores, in the order they are met. */
export function summarizeBy(scores: readonly Score[], nameOf: (score: Score) => string): readonly Row[] {
  const groups = new Map<string, Score[]>();
  for (const one of scores) groups.set(nameOf(one), [...(groups.get(nameOf(one)) ?? []), one]);
  return [...groups].map(([name, members]) => summarize(name, members));
}

/** A Markdown table. */
export function renderRows(title: string, rows: readonly Row[]): string {
  const lines = rows.map(({ name, questions, exact, f1, valid, cited, contested, toolCalls }) =>
    [
      name,
      String(questions),
      percent(exact),
      percent(f1),
      contested === null
        ? '–'
        : `${percent(contested.exact)} of ${contested.questions} (guess ${percent(contested.guess)})`,
      cited === null ? '–' : percent(cited),
      percent(valid),
      toolCalls === null ? '–' : `${toolCalls.accepted} of ${toolCalls.made}`,
    ].join(' | '),
  );
  return [
    `| ${title} | questions | exact | F1 | same attribute, other entity: exact | citation holds the answer, of exact ones | valid JSON | tool calls accepted |`,
    '|---|---|---|---|---|---|---|---|',
    ...lines.map((line) => `| ${line} |`),
  ].join('\n');
}

export const percent = (value: number): string => `${Math.round(value * 100)} %`;

function share<T>(all: readonly T[], holds: (one: T) => boolean): number | null {
  return all.length === 0 ? null : round(all.filter(holds).length / all.length);
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const round = (value: number): number => Math.round(value * 10_000) / 10_000;
