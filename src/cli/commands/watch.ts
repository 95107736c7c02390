import { Command } from 'commander';
import { openApiOf } from '../api-address.ts';
import { followBatch } from '../follow-batch.ts';
import type { CliIo } from '../io.ts';
import { withApi, withExamples, withJson } from '../options.ts';

interface WatchOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly results?: boolean;
  readonly table?: boolean;
  readonly json?: boolean;
}

export function watchCommand(io: CliIo): Command {
  const command = new Command('watch')
    .description('follow a batch to its end: bars on a terminal, plain lines elsewhere; Ctrl-C leaves it running')
    .argument('<id>', 'batch, as submit and batch list name it')
    .option('--results', 'then show the results')
    .option('--table', 'with --results: in one table');
  withJson(withApi(command), 'one JSON object a line on stdout: progress at every change, then end');
  return withExamples(command, [
    '$ quire watch batch_…',
    '$ quire watch batch_… --results',
    '$ quire watch batch_… --json | tail -1',
    '',
    'Exit code 1: a line failed, or the batch was refused, cancelled or out of time.',
  ]).action(async (id: string, options: WatchOptions) => {
    const api = await openApiOf(options, io);
    await followBatch(io, api, id, { ...options, results: options.results ?? false });
  });
}
