import type { Outcome } from './scenario.ts';

const columns = [
  ['scenario', 28],
  ['result', 7],
  ['kills', 6],
  ['in tokens', 10],
  ['lines', 6],
  ['lost', 5],
  ['doubled', 8],
  ['wasted tokens', 14],
  ['recovery s', 11],
  ['seconds', 8],
] as const;

const lineOf = (cells: readonly string[]): string =>
  cells
    .map((cell, index) => {
      const width = columns[index]?.[1] ?? 0;
      return index < 2 ? cell.padEnd(width) : cell.padStart(width);
    })
    .join(' ');

export const tableHead = lineOf(columns.map(([title]) => title));

/** One row of the table, in the order of its head. */
export function formatRow(name: string, outcome: Outcome, seconds: number): string {
  const { kills, producingKills, recoverySeconds } = outcome;
  return lineOf([
    name,
    outcome.problems.length === 0 ? 'pass' : 'FAIL',
    String(kills),
    kills === 0 ? '-' : `${Math.round((producingKills / kills) * 100)} %`,
    String(outcome.lines),
    String(outcome.lost),
    String(outcome.doubled),
    String(outcome.wastedTokens),
    recoverySeconds === null ? '-' : recoverySeconds.toFixed(1),
    seconds.toFixed(0),
  ]);
}
