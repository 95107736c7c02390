import { createWriteStream } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command } from 'commander';
import { AppError } from '../../../base/errors.ts';
import { openApiOf } from '../../api-address.ts';
import { isAllAnswered, isOver } from '../../batch-frame.ts';
import { describeRefusal, hasResults, readResults } from '../../follow-batch.ts';
import { type CliIo, printLine } from '../../io.ts';
import { withApi, withExamples, withJson } from '../../options.ts';
import { printResults, viewResults } from '../../results.ts';

interface ResultsOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly table?: boolean;
  readonly output?: string;
  readonly json?: boolean;
}

export function resultsCommand(io: CliIo): Command {
  const command = new Command('results')
    .description('the answers of a batch that is over, then the lines that failed')
    .argument('<id>', 'batch')
    .option('--table', 'in one table, cut to its columns')
    .option('--output <file>', 'write the lines into a file, as they are');
  withJson(withApi(command), 'the lines as they are, one JSON object each, on stdout');
  return withExamples(command, [
    '$ quire batch results batch_…',
    '$ quire batch results batch_… --table',
    `$ quire batch results batch_… --json | jq -r '.response.body.answer'`,
    '$ quire batch results batch_… --output results.jsonl',
    '',
    'Exit code 1: a line failed.',
  ]).action((id: string, options: ResultsOptions) => runResults(io, id, options));
}

async function runResults(io: CliIo, id: string, options: ResultsOptions): Promise<void> {
  const api = await openApiOf(options, io);
  const batch = await api.getBatch(id);
  if (!isOver(batch)) {
    throw new AppError('input.state', `${id} is ${batch.status}; its results come at the end: quire watch ${id}`);
  }
  if (!hasResults(batch)) {
    const reasons = describeRefusal(batch).map((line) => `\n  ${line}`);
    throw new AppError('input.state', `${id} ${batch.status} without results${reasons.join('')}`);
  }
  const lines = readResults(api, batch);
  if (options.output !== undefined) {
    await pipeline(Readable.from(withEnds(lines)), createWriteStream(options.output));
    if (!options.json) printLine(io.stdout, `${batch.request_counts.total} lines written to ${options.output}`);
  } else if (options.json) {
    for await (const line of lines) printLine(io.stdout, line);
  } else {
    await printResults(io.stdout, viewResults(lines), { table: options.table ?? false });
  }
  if (!isAllAnswered(batch)) io.setExitCode(1);
}

async function* withEnds(lines: AsyncIterable<string>): AsyncGenerator<string> {
  for await (const line of lines) yield `${line}\n`;
}
