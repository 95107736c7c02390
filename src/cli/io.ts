import { type Clock, systemClock } from '../base/clock.ts';

/** What the command line needs of a stream: process.stdout, or a test's collector. */
export interface TextStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

/** Everything a command touches besides files and the network, so that tests can watch it. */
export interface CliIo {
  readonly stdout: TextStream;
  readonly stderr: TextStream;
  readonly clock: Clock;
  /** @defaultValue those of the process */
  readonly variables?: Readonly<Record<string, string | undefined>>;
  /** The exit code when the command ends without an error. */
  setExitCode(code: number): void;
}

export function openProcessIo(): CliIo & { exitCode(): number } {
  let exitCode = 0;
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    clock: systemClock,
    setExitCode: (code) => {
      exitCode = code;
    },
    exitCode: () => exitCode,
  };
}

export const printLine = (stream: TextStream, text: string): void => {
  stream.write(`${text}\n`);
};

/** One object a line. */
export const printJson = (stream: TextStream, value: unknown): void => {
  stream.write(`${JSON.stringify(value)}\n`);
};
