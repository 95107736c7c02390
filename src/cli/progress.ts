import type { Clock } from '../base/clock.ts';
import { printLine, type TextStream } from './io.ts';
import { columnsOf, cutToColumns, toPlainLine } from './plain-text.ts';

/** One thing that moves. */
export interface ProgressRow {
  readonly label: string;
  /** A word: where it stands. Changes are shown at once. */
  readonly state: string;
  /** Of what the bar shows; null: nothing to measure now. */
  readonly bar: { readonly done: number; readonly total: number; readonly unit: string } | null;
  readonly detail: string;
}

/** What there is to see at one moment. */
export interface ProgressFrame {
  readonly head: ProgressRow;
  /** What is in work, if anything. */
  readonly rows: readonly ProgressRow[];
}

export interface Progress {
  show(frame: ProgressFrame): void;
  /** A sentence that stays. */
  note(text: string): void;
  /** The last frame stays as it is. */
  end(): void;
}

/** Bars that are drawn over each other on a terminal, lines below each other everywhere else. */
export function openProgress(stream: TextStream, clock: Clock): Progress {
  return stream.isTTY === true ? new LiveProgress(stream) : new PlainProgress(stream, clock);
}

/** For those who read the events instead. */
export const silentProgress: Progress = { show: () => {}, note: () => {}, end: () => {} };

const defaultColumns = 80;
const barColumns = 24;
const maxRows = 8;

export function renderBar(done: number, total: number, columns = barColumns): string {
  const share = total <= 0 ? 0 : Math.min(1, Math.max(0, done / total));
  // never full before the end
  const full = share === 1 ? columns : Math.min(columns - 1, Math.round(share * columns));
  return '█'.repeat(full) + '░'.repeat(columns - full);
}

class LiveProgress implements Progress {
  readonly #stream: TextStream;
  #drawn: readonly string[] = [];

  constructor(stream: TextStream) {
    this.#stream = stream;
  }

  show(frame: ProgressFrame): void {
    // a terminal that does not know its width says 0
    this.#draw(renderFrame(frame, this.#stream.columns || defaultColumns));
  }

  note(text: string): void {
    const drawn = this.#drawn;
    this.#draw([]);
    printLine(this.#stream, toPlainLine(text));
    this.#draw(drawn);
  }

  end(): void {
    this.#drawn = [];
  }

  #draw(lines: readonly string[]): void {
    if (lines.join('\n') === this.#drawn.join('\n')) return;
    const back = this.#drawn.length === 0 ? '' : `\x1b[${this.#drawn.length}A`;
    const rest = this.#drawn.length > lines.length ? '\x1b[J' : '';
    this.#stream.write(`${back}${lines.map((line) => `\r\x1b[2K${line}\n`).join('')}${rest}`);
    this.#drawn = lines;
  }
}

/** Each line stays within the terminal: a wrapped one could not be drawn over. */
function renderFrame({ head, rows }: ProgressFrame, columns: number): readonly string[] {
  const shown = [head, ...rows.slice(0, maxRows)];
  const labels = shown.map(({ label }, index) => {
    const text = cutToColumns(toPlainLine(label), labelColumns);
    return index === 0 ? text : `  ${text}`;
  });
  const widest = Math.max(...labels.map(columnsOf));
  const lines = shown.map(({ state, bar, detail }, index) => {
    const label = labels[index] ?? '';
    const drawn = bar === null ? '' : `${renderBar(bar.done, bar.total)} `;
    return `${label}${' '.repeat(widest - columnsOf(label))} ${drawn}${toPlainLine(`${state}${describeRest(bar, detail)}`)}`;
  });
  const more = rows.length > maxRows ? [`  … and ${rows.length - maxRows} more`] : [];
  return [...lines, ...more].map((line) => cutToColumns(line, columns - 1));
}

const labelColumns = 34;

/** Figures of the whole follow each other at this distance, the line in work at the longer one. */
const countEveryMs = 2_000;
const detailEveryMs = 10_000;

class PlainProgress implements Progress {
  readonly #stream: TextStream;
  readonly #clock: Clock;
  #state = '';
  #last: ProgressFrame | null = null;
  #counts = '';
  #printed = '';
  #printedMs = Number.NEGATIVE_INFINITY;

  constructor(stream: TextStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
  }

  show(frame: ProgressFrame): void {
    this.#last = frame;
    const { state, bar } = frame.head;
    const nowMs = this.#clock.nowMs();
    const isNewState = state !== this.#state;
    const isMoved = describeCounts(frame) !== this.#counts;
    const everyMs = isMoved && bar !== null ? countEveryMs : detailEveryMs;
    if (isNewState || nowMs - this.#printedMs >= everyMs) this.#print(frame, nowMs);
  }

  note(text: string): void {
    printLine(this.#stream, toPlainLine(text));
  }

  end(): void {
    if (this.#last !== null) this.#print(this.#last, this.#clock.nowMs());
    this.#last = null;
  }

  #print(frame: ProgressFrame, nowMs: number): void {
    const { head, rows } = frame;
    const [first] = rows;
    const current = first === undefined ? '' : ` · ${describeRow(first)}`;
    const counts = describeCounts(frame);
    if (`${counts}${current}` === this.#printed) return;
    printLine(this.#stream, toPlainLine(`${describeRow(head)}${current}`));
    this.#state = head.state;
    this.#counts = counts;
    this.#printed = `${counts}${current}`;
    this.#printedMs = nowMs;
  }
}

/** Without what changes with the time alone. */
const describeCounts = ({ head: { label, state, bar } }: ProgressFrame): string =>
  `${label} ${state}${describeRest(bar, '')}`;

export const describeRow = ({ label, state, bar, detail }: ProgressRow): string =>
  `${label} ${state}${describeRest(bar, detail)}`;

function describeRest(bar: ProgressRow['bar'], detail: string): string {
  const counts = bar === null ? '' : `${bar.done} of ${bar.total} ${bar.unit}`;
  const parts = [counts, detail].filter((part) => part !== '');
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`;
}
