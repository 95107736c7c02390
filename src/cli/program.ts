import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { exitCodes } from '../local/exit-codes.contract.ts';
import { batchCommand } from './commands/batch.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { dropCommand } from './commands/drop.ts';
import { modelCommand } from './commands/model.ts';
import { objectCommand } from './commands/object.ts';
import { rebuildCommand } from './commands/rebuild.ts';
import { submitCommand } from './commands/submit.ts';
import { upCommand } from './commands/up.ts';
import { watchCommand } from './commands/watch.ts';
import { type CliIo, printJson, printLine } from './io.ts';
import { reportFailure } from './output.ts';

const notes = `
From nothing to an answer:
  $ quire up                                            in one terminal: everything on this machine
  $ quire submit lease.md --ask "Who is the tenant?" --watch        in another: ask, wait, read
  $ quire drop lease.md --folder leases --ask "Who is the tenant?" --watch   the same through the bucket

When something is wrong:
  $ quire doctor

Exit codes
    0  done
    1  some of the work failed: a line without answer, a check that found something, a batch refused or cancelled
    2  wrong input, arguments or settings; nothing was done
   65  stored data is damaged
   70  a fault of quire
   75  nobody answers, or there is no room now: try again later
  130  stopped by Ctrl-C

With --json, stdout has one JSON object a line and nothing else; errors are {"ok":false,"error":{"code","message"}}.
Settings are environment variables; README.md lists them. More about a command: quire <command> --help`;

export function buildProgram(io: CliIo): Command {
  const program = new Command('quire')
    .description(
      'Batch processor for long documents: submit documents and questions, poll, read answers tied to pages.',
    )
    .version(readVersion(), '--version', 'version of quire')
    .showSuggestionAfterError()
    .addCommand(upCommand())
    .addCommand(submitCommand(io))
    .addCommand(watchCommand(io))
    .addCommand(batchCommand(io))
    .addCommand(dropCommand(io))
    .addCommand(objectCommand(io))
    .addCommand(modelCommand())
    .addCommand(doctorCommand(io))
    .addCommand(rebuildCommand(io))
    .addCommand(demoCommand())
    .addHelpText('after', notes);
  prepare(program, io);
  return program;
}

/** Runs one command line, given without node and script. @returns the exit code */
export async function runCli(args: readonly string[], io: CliIo & { exitCode(): number }): Promise<number> {
  const json = args.includes('--json');
  try {
    await buildProgram(io).parseAsync(args, { from: 'user' });
    return io.exitCode();
  } catch (error) {
    if (error instanceof CommanderError) return reportUsage(io, error, json);
    return reportFailure(io, error, json);
  }
}

/** Help and version were asked for and are no error; everything else is one. */
function reportUsage(io: CliIo, error: CommanderError, json: boolean): number {
  if (error.exitCode === 0) return 0;
  // without a command the help itself was shown
  if (error.code === 'commander.help') return exitCodes.input;
  const message = error.message.replace(/^error: /, '').replaceAll('\n', ' ');
  if (json) printJson(io.stdout, { ok: false, error: { code: 'input.invalid-request', message } });
  printLine(io.stderr, `quire: ${message}\nsee --help for what there is`);
  return exitCodes.input;
}

/** Where it is written to no terminal. */
const helpColumns = 100;

/** Errors come to us instead of ending the process. */
function prepare(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: (text) => io.stderr.write(text),
    outputError: () => {},
    getOutHelpWidth: () => io.stdout.columns || helpColumns,
    getErrHelpWidth: () => io.stderr.columns || helpColumns,
  });
  for (const sub of command.commands) prepare(sub, io);
}

export function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
