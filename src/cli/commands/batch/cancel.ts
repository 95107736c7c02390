import { Command } from 'commander';
import { openApiOf } from '../../api-address.ts';
import { type CliIo, printJson, printLine } from '../../io.ts';
import { withApi, withExamples, withJson } from '../../options.ts';

interface CancelOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

export function cancelCommand(io: CliIo): Command {
  const command = new Command('cancel')
    .description('stop a batch; lines that are finished keep their results')
    .argument('<id>', 'batch');
  withJson(withApi(command), 'the batch as one JSON object on stdout');
  return withExamples(command, ['$ quire batch cancel batch_…']).action(async (id: string, options: CancelOptions) => {
    const api = await openApiOf(options, io);
    const batch = await api.cancelBatch(id);
    if (options.json) printJson(io.stdout, batch);
    else printLine(io.stdout, `${batch.id} ${batch.status}; finished lines keep their results`);
  });
}
