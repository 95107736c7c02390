import type { CacheCheck } from './cached.ts';
import type { SetScores } from './evaluate.ts';
import { type Paired, pointsOf, signed } from './paired.ts';
import type { Score } from './score.ts';
import { renderTable } from './table.ts';

/** What a bundled model should reach, and what was reached. */
export interface GoalRow {
  readonly name: string;
  readonly goal: string;
  /** In words; null: nothing was asked that would show it. */
  readonly reached: string | null;
  readonly isReached: boolean | null;
}

export interface Evidence {
  readonly sets: readonly SetScores[];
  /** Full precision first, INT4 second. */
  readonly precision: Paired | null;
  readonly cache: CacheCheck | null;
}

interface ShareGoal {
  readonly name: string;
  readonly least: number;
  /** The questions that count. */
  readonly of: (goal: string, score: Score) => boolean;
  /** @defaultValue exact answers */
  readonly holds?: (score: Score) => boolean;
  /** What is to be said of those that hold. */
  readonly note?: (held: readonly Score[]) => string;
}

const inSet =
  (wanted: string) =>
  (goal: string): boolean =>
    goal === wanted;

const isProvable = ({ isExact, isCited }: Score): boolean => isExact && isCited !== null;

const shares: readonly ShareGoal[] = [
  {
    name: 'look-up, evidence ≤ 300 tokens, values all of one type, entity and attribute needed: read directly',
    least: 0.95,
    of: (goal, { needsBoth }) => goal === 'evidence' && needsBoth,
  },
  {
    name: 'the same through the search tool',
    least: 0.95,
    of: (goal, { needsBoth }) => goal === 'evidence by search' && needsBoth,
  },
  { name: 'look-up and section-scoped questions, documents ≤ 1K tokens, read directly', least: 0.95, of: inSet('1K') },
  { name: 'the same, ≤ 4K tokens, read directly', least: 0.9, of: inSet('4K') },
  { name: 'the same, ≤ 4K tokens, through the search tool', least: 0.9, of: inSet('4K by search') },
  { name: 'the same, 16K tokens, through the search tool', least: 0.8, of: inSet('16K') },
  { name: 'the same, 32K tokens, through the search tool', least: 0.7, of: inSet('32K') },
  { name: 'compare', least: 0.75, of: inSet('compare') },
  { name: 'count', least: 0.75, of: inSet('count') },
  { name: 'sum (with `calculate`)', least: 0.75, of: inSet('sum') },
  { name: 'absence (half of the questions have an answer)', least: 0.75, of: inSet('absence') },
  { name: 'kinds of documents never trained on', least: 0.6, of: inSet('unknown kind') },
  {
    name: 'citations that show the answer, of correct answers',
    least: 0.9,
    of: (_, score) => isProvable(score),
    holds: ({ isCited }) => isCited === true,
    note: (held) => `; in ${held.filter(({ isMoved }) => isMoved).length} the model named another page`,
  },
  { name: 'schema-valid JSON', least: 1, of: () => true, holds: ({ isValid }) => isValid },
];

export function goalRows({ sets, precision, cache }: Evidence): readonly GoalRow[] {
  return [...shares.map((goal) => shareRow(goal, sets)), toolRow(sets), precisionRow(precision), cacheRow(cache)];
}

function shareRow(goal: ShareGoal, sets: readonly SetScores[]): GoalRow {
  const { name, least, of, holds = ({ isExact }) => isExact, note = () => '' } = goal;
  const counted = sets.flatMap((set) => set.answers.map(({ score }) => score).filter((score) => of(set.goal, score)));
  const held = counted.filter(holds);
  const row = countRow(name, least, held.length, counted.length);
  return row.reached === null ? row : { ...row, reached: `${row.reached}${note(held)}` };
}

/** A call that names no tool, or arguments no tool takes, is answered with an error line. */
function toolRow(sets: readonly SetScores[]): GoalRow {
  const scores = sets.flatMap(({ answers }) => answers.map(({ score }) => score));
  const made = scores.reduce((total, { toolCalls }) => total + toolCalls, 0);
  const refused = scores.reduce((total, { refusedCalls }) => total + refusedCalls, 0);
  return countRow('tool calls accepted', 1, made - refused, made);
}

function countRow(name: string, least: number, held: number, total: number): GoalRow {
  const goal = least === 1 ? '100 %' : `≥ ${Math.round(least * 100)} %`;
  if (total === 0) return { name, goal, reached: null, isReached: null };
  // cut, not rounded: 94.9 is not 95
  const reached = `${Math.floor((100 * held) / total)} % (${held} of ${total})`;
  return { name, goal, reached, isReached: held / total >= least };
}

function precisionRow(precision: Paired | null): GoalRow {
  const [name, goal] = ['loss from INT4 against full precision', '≤ 1 point'];
  if (precision === null) return { name, goal, reached: null, isReached: null };
  const points = pointsOf(precision);
  return { name, goal, reached: `${signed(points)} points of ${precision.questions}`, isReached: points >= -1 };
}

function cacheRow(cache: CacheCheck | null): GoalRow {
  const [name, goal] = ['the same words behind cached pages as without', 'all'];
  if (cache === null) return { name, goal, reached: null, isReached: null };
  const { identical, questions } = cache;
  const unread = cache.void === 0 ? '' : `, ${cache.void} not read as meant`;
  return { name, goal, reached: `${identical} of ${questions}${unread}`, isReached: identical === questions };
}

export function renderGoals(rows: readonly GoalRow[]): string {
  return renderTable(
    ['to reach, names never trained on', 'goal', 'reached', ''],
    rows.map(({ name, goal, reached, isReached }) => [
      name,
      goal,
      reached ?? 'not asked',
      isReached === null ? '' : isReached ? '✓' : '✗',
    ]),
  );
}
