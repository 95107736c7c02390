import { AppError, toAppError } from '../base/errors.ts';
import { exitCodes } from '../local/exit-codes.contract.ts';
import { type CliIo, printJson, printLine, type TextStream } from './io.ts';
import { columnsOf, cutToColumns, toPlainLine, toPlainText } from './plain-text.ts';

/**
 * One clear sentence on stderr, with `json` one object on stdout too.
 * @returns the exit code of the error's family
 */
export function reportFailure(io: Pick<CliIo, 'stdout' | 'stderr'>, error: unknown, json: boolean): number {
  const known = toAppError(error);
  if (json) printJson(io.stdout, { ok: false, error: { code: known.code, message: known.message } });
  printLine(io.stderr, `quire: ${toPlainText(known.message)}`);
  // a fault of ours is shown whole: whoever meets it can report it
  const stack = known.cause instanceof Error ? known.cause.stack : known.stack;
  if (known.family === 'bug' && !json && stack !== undefined) printLine(io.stderr, stack);
  return exitCodes[known.family];
}

/** Columns padded to their widest cell; long cells are cut with an ellipsis. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], maxCell = 44): string {
  const all = [header, ...rows].map((row) => row.map((cell) => cutToColumns(toPlainLine(cell), maxCell)));
  const widths = header.map((_, column) => Math.max(...all.map((row) => columnsOf(row[column] ?? ''))));
  const pad = (cell: string, column: number): string => cell + ' '.repeat((widths[column] ?? 0) - columnsOf(cell));
  const line = (row: readonly string[]): string => row.map(pad).join('  ').trimEnd();
  const rule = widths.map((width) => '─'.repeat(width)).join('  ');
  return [line(all[0] ?? []), rule, ...all.slice(1).map(line)].join('\n');
}

/** Elsewhere than on a terminal, lines of one headline follow each other at this distance. */
const plainEveryMs = 5_000;

/** Lines that replace each other on a terminal; elsewhere they follow each other, new headlines at once. */
export class StatusLine {
  #last = '';
  #headline = '';
  #printedMs = Number.NEGATIVE_INFINITY;
  readonly #stream: TextStream;

  constructor(stream: TextStream = process.stderr) {
    this.#stream = stream;
  }

  /** @param detail what may change often, such as tokens read */
  show(headline: string, detail = ''): void {
    const text = toPlainLine(`${headline}${detail}`);
    if (text === this.#last) return;
    if (this.#stream.isTTY) this.#stream.write(`\r\x1b[K${text}`);
    else if (!this.#isDue(headline)) return;
    else this.#stream.write(`${text}\n`);
    this.#last = text;
  }

  end(): void {
    if (this.#stream.isTTY && this.#last !== '') this.#stream.write('\n');
    this.#last = '';
    this.#headline = '';
  }

  #isDue(headline: string): boolean {
    const nowMs = Date.now();
    if (headline === this.#headline && nowMs - this.#printedMs < plainEveryMs) return false;
    this.#headline = headline;
    this.#printedMs = nowMs;
    return true;
  }
}

/** @throws `input.config` for text that is no port */
export function parsePort(text: string): number {
  const port = Number(text);
  if (text.trim() !== '' && Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw new AppError('input.config', `port must be an integer from 0 to 65535, not ${JSON.stringify(text)}`);
}
