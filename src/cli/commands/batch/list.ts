import { Command } from 'commander';
import type { BatchObject } from '../../../api/schemas/batch.schema.ts';
import { openApiOf } from '../../api-address.ts';
import { type CliIo, printJson, printLine } from '../../io.ts';
import { integerOption, withApi, withExamples, withJson } from '../../options.ts';
import { renderTable } from '../../output.ts';

interface ListOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly limit: number;
  readonly json?: boolean;
}

export function listCommand(io: CliIo): Command {
  const command = new Command('list')
    .description('batches, newest first')
    .option('--limit <n>', 'at most so many', integerOption(1, 100_000), 20);
  withJson(withApi(command), 'one batch a line, each a JSON object, on stdout');
  return withExamples(command, [
    '$ quire batch list',
    `$ quire batch list --limit 1000 --json | jq -r 'select(.status == "in_progress").id'`,
  ]).action(async (options: ListOptions) => {
    const api = await openApiOf(options, io);
    const batches = await api.listBatches(options.limit);
    if (options.json) for (const batch of batches) printJson(io.stdout, batch);
    else if (batches.length === 0) printLine(io.stdout, 'no batches yet; make one with: quire submit');
    else printLine(io.stdout, renderTable(['batch', 'status', 'lines', 'failed', 'created'], batches.map(rowOf)));
  });
}

function rowOf({ id, status, request_counts: counts, created_at: created }: BatchObject): readonly string[] {
  const time = new Date(created * 1_000).toISOString().replace('T', ' ').slice(0, 19);
  return [id, status, `${counts.completed + counts.failed} of ${counts.total}`, String(counts.failed), time];
}
