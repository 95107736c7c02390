import type { ModelConfig } from '../../../src/engine/model/model-config.ts';
import { median, spread } from '../figures.ts';
import type { MachineFigures } from './machine.ts';
import type { RowFigures, RowResult } from './measure.ts';
import { activeBytes, idealSeconds, planProducts, tokenOperations } from './products.ts';
import { type BenchRow, benchRows, type RowId } from './rows.ts';

/** What came of the rows that one engine with one setting was asked for. */
export type EngineFigures = ReadonlyMap<RowId, RowResult>;

export interface ModelFigures {
  /** null: its process ended before it had them. */
  readonly machine: MachineFigures | null;
  readonly fast: EngineFigures;
  readonly exact: EngineFigures;
  readonly flash: EngineFigures;
  readonly plain: EngineFigures;
}

export const comparisonHead = [
  'work',
  'quire',
  'reproducible',
  'costs',
  'node-llama-cpp',
  'flash attention',
  'ratio',
  'goal',
  'native llama.cpp, as cited',
];

/** `reproducible` may cost so much. */
const mostCost = 0.25;

/** A row of work: both engines with both settings, the ratio of the better ones. */
export function compareRows(figures: ModelFigures): readonly (readonly string[])[] {
  return benchRows.flatMap((row) => {
    const [fast, exact] = [figures.fast.get(row.id), figures.exact.get(row.id)];
    if (fast === undefined || exact === undefined) return [];
    const cost = 1 - rateOf(exact) / rateOf(fast);
    return [
      [
        row.title,
        showResult(row, fast),
        showResult(row, exact),
        Number.isNaN(cost) ? '' : `${(100 * cost).toFixed(0)} %${cost > mostCost ? ' (at most 25)' : ''}`,
        ...comparePeer(row, rateOf(fast), figures.flash.get(row.id), figures.plain.get(row.id)),
        row.citedNative ?? '',
      ],
    ];
  });
}

/** Of the peer's settings the better one counts, or the one that came to an end. */
function comparePeer(row: BenchRow, rate: number, flash?: RowResult, plain?: RowResult): readonly string[] {
  const goal = `≥ ${row.goal} ×`;
  const isFlash = flash !== undefined && !(rateOf(flash) < rateOf(plain)) && !Number.isNaN(rateOf(flash));
  const [better, other] = isFlash || plain === undefined ? [flash, plain] : [plain, flash];
  if (better === undefined) return ['', '', '', goal];
  const choice = `${better === flash ? 'on' : 'off'} (else ${showOther(other)})`;
  const ratio = rate / rateOf(better);
  if (Number.isNaN(ratio)) return [showResult(row, better), choice, '', goal];
  return [showResult(row, better), choice, `${ratio.toFixed(2)} ×`, `${goal}${ratio < row.goal ? ', missed' : ''}`];
}

function showOther(result?: RowResult): string {
  if (result === undefined) return 'not measured';
  return 'end' in result ? showEnd(result.end) : rateOf(result).toFixed(1);
}

/** Whether the first setting is the faster one over all rows that both have been measured at, or the only one there. */
export function isFaster(one: EngineFigures, other: EngineFigures): boolean {
  const measured = (figures: EngineFigures) => [...figures.values()].filter((row) => !('end' in row));
  if (measured(one).length !== measured(other).length) return measured(one).length > measured(other).length;
  return measured(one).reduce((sum, row) => sum + Math.log(rateOf(row) / rateOf(other.get(row.id))), 0) >= 0;
}

/** NaN when there is none. */
const rateOf = (result?: RowResult): number =>
  result === undefined || 'end' in result ? Number.NaN : median(result.rates);

const showEnd = (end: string): string => `ended: ${end}`;

const showResult = (row: BenchRow, result: RowResult): string =>
  'end' in result ? showEnd(result.end) : showRates(row, result);

/** Tokens a second with their spread; the time of a whole piece of work as well. */
function showRates({ work }: BenchRow, { rates, otherLoad }: RowFigures): string {
  const rate = median(rates);
  const whole = work.type === 'questions' ? `${((work.questions * work.answerTokens) / rate).toFixed(1)} s, ` : '';
  const load = otherLoad > 0.1 ? `, ${(100 * otherLoad).toFixed(0)} % other load` : '';
  return `${whole}${rate.toFixed(1)} tok/s (${rates.length === 1 ? 'once' : spread(rates)}${load})`;
}

export const machineHead = ['of the machine', 'measured', 'limit', 'share', 'goal'];

/** What the fastest setting makes of the processor in prefill, and of the memory in decode. */
export function compareMachine(config: ModelConfig, { machine, fast }: ModelFigures): readonly (readonly string[])[] {
  if (machine === null) return [];
  const products = planProducts(config);
  const operations = tokenOperations(products);
  const idealRate = 1 / idealSeconds(products, machine.rates, 1);
  const bytes = activeBytes(config);
  return benchRows.flatMap(({ id, title, work }) => {
    const figures = fast.get(id);
    if (figures === undefined || 'end' in figures) return [];
    const rate = median(figures.rates);
    if (work.type === 'prefill') {
      const show = (tokens: number): string => `${((tokens * operations) / 1e9).toFixed(0)} GFLOP/s`;
      return [
        [title, show(rate), `${show(idealRate)}, ${idealRate.toFixed(0)} tok/s`, percent(rate / idealRate), '≥ 60 %'],
      ];
    }
    if (work.type !== 'decode' || work.sequences > 1) return [];
    const limit = machine.bandwidth / bytes;
    const show = (tokens: number): string => `${((tokens * bytes) / 1e9).toFixed(1)} GB/s`;
    return [[title, show(rate), `${show(limit)}, ${limit.toFixed(0)} tok/s`, percent(rate / limit), '≥ 50 %']];
  });
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
