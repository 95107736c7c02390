import type { Clock } from '../../../src/base/clock.ts';
import type { CliIo, TextStream } from '../../../src/cli/io.ts';

/** Collects what is written; with `columns` it is a terminal. */
export class FakeStream implements TextStream {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly writes: string[] = [];

  constructor(columns = 0) {
    this.columns = columns;
    this.isTTY = columns > 0;
  }

  write(text: string): void {
    this.writes.push(text);
  }

  get text(): string {
    return this.writes.join('');
  }

  get lines(): readonly string[] {
    return this.text.split('\n').filter((line) => line !== '');
  }

  /** What a terminal would show now, for the few sequences that are used. */
  screen(): readonly string[] {
    const rows: string[] = [''];
    let row = 0;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with escape
    for (const [part] of this.text.matchAll(/\x1b\[(\d*)([AJK])|\n|\r|[^\n\r\x1b]+/g)) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with escape
      const sequence = /^\x1b\[(\d*)([AJK])$/.exec(part);
      if (part === '\n') {
        row += 1;
        rows[row] ??= '';
      } else if (sequence?.[2] === 'A') row -= Number(sequence[1]);
      else if (sequence?.[2] === 'J') rows.splice(row, rows.length - row, '');
      else if (sequence?.[2] === 'K') rows[row] = '';
      else if (part !== '\r') rows[row] += part;
    }
    return rows.filter((line) => line !== '');
  }
}

/** Time that passes by sleeping only. */
export class FakeClock implements Clock {
  now = 1_000_000;

  nowMs(): number {
    return this.now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.now += ms;
  }
}

export interface FakeIo extends CliIo {
  readonly stdout: FakeStream;
  readonly stderr: FakeStream;
  readonly clock: FakeClock;
  exitCode(): number;
}

export function openFakeIo(variables: Readonly<Record<string, string>> = {}): FakeIo {
  let code = 0;
  return {
    stdout: new FakeStream(),
    stderr: new FakeStream(),
    clock: new FakeClock(),
    // never the folder of whoever runs the tests
    variables: { QUIRE_DATA_DIR: '/nonexistent/quire', ...variables },
    setExitCode: (next) => {
      code = next;
    },
    exitCode: () => code,
  };
}
