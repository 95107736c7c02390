import type { Score } from './score.ts';

/** One line of the report: shares from 0 to 1, null where nothing was asked that it could be a share of. */
export interface Row {
  readonly name: string;
  readonly questions: number;
  readonly exact: number;
  /** What guesses would get where the attribute or the question's form is understood; null: hardly anything. */
  readonly guess: number | null;
  readonly f1: number;
  readonly valid: number;
  /** Of exact answers that the document holds: verified quotes show what proves them. */
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
    guess: scores.some(({ guess }) => guess !== null) ? meanGuess(scores) : null,
    f1: round(sum(scores.map(({ f1 }) => f1)) / Math.max(scores.length, 1)),
    valid: share(scores, ({ isValid }) => isValid) ?? 0,
    cited: share(exact, ({ isCited }) => isCited === true),
    contested:
      contested.length === 0
        ? null
        : {
            questions: contested.length,
            exact: share(contested, ({ isExact }) => isExact) ?? 0,
            guess: meanGuess(contested),
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

const columns = [
  'questions',
  'exact',
  'guess',
  'F1',
  'same attribute, other entity: exact',
  'citations prove it, of exact ones',
  'valid JSON',
  'tool calls accepted',
];

/** A Markdown table. */
export function renderRows(title: string, rows: readonly Row[]): string {
  return renderTable(
    [title, ...columns],
    rows.map(({ name, questions, exact, guess, f1, valid, cited, contested, toolCalls }) => [
      name,
      String(questions),
      percent(exact),
      guess === null ? '–' : percent(guess),
      percent(f1),
      contested === null
        ? '–'
        : `${percent(contested.exact)} of ${contested.questions} (guess ${percent(contested.guess)})`,
      cited === null ? '–' : percent(cited),
      percent(valid),
      toolCalls === null ? '–' : `${toolCalls.accepted} of ${toolCalls.made}`,
    ]),
  );
}

export function renderTable(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(heads), `|${'---|'.repeat(heads.length)}`, ...rows.map(line)].join('\n');
}

export const percent = (value: number): string => `${Math.round(value * 100)} %`;

/** A question that nobody guesses counts as 0. */
function meanGuess(scores: readonly Score[]): number {
  return round(sum(scores.map(({ guess }) => guess ?? 0)) / Math.max(scores.length, 1));
}

function share<T>(all: readonly T[], holds: (one: T) => boolean): number | null {
  return all.length === 0 ? null : round(all.filter(holds).length / all.length);
}

export const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const round = (value: number): number => Math.round(value * 10_000) / 10_000;
