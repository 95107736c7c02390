import { Command } from 'commander';
import type { BatchObject } from '../../../api/schemas/batch.schema.ts';
import { openApiOf } from '../../api-address.ts';
import { describeEnd, frameOf, isOver } from '../../batch-frame.ts';
import { describeRefusal } from '../../follow-batch.ts';
import { type CliIo, printJson, printLine } from '../../io.ts';
import { withApi, withExamples, withJson } from '../../options.ts';
import { toPlainLine } from '../../plain-text.ts';
import { describeRow } from '../../progress.ts';

interface GetOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly json?: boolean;
}

export function getCommand(io: CliIo): Command {
  const command = new Command('get').description('how a batch stands').argument('<id>', 'batch');
  withJson(withApi(command), 'the batch as one JSON object on stdout');
  return withExamples(command, [
    '$ quire batch get batch_…',
    '$ quire batch get batch_… --json | jq .request_counts',
  ]).action(async (id: string, options: GetOptions) => {
    const api = await openApiOf(options, io);
    const batch = await api.getBatch(id);
    if (options.json) printJson(io.stdout, batch);
    else for (const line of describe(batch, io.clock.nowMs())) printLine(io.stdout, toPlainLine(line));
  });
}

function describe(batch: BatchObject, nowMs: number): readonly string[] {
  if (isOver(batch)) {
    const results = batch.output_file_id === null && batch.error_file_id === null;
    return [
      describeEnd(batch, nowMs),
      ...describeRefusal(batch),
      ...(results ? [] : [`results: quire batch results ${batch.id}`]),
    ];
  }
  const { head, rows } = frameOf(batch, nowMs);
  return [describeRow(head), ...rows.map((row) => `in work: ${describeRow(row)}`), `follow: quire watch ${batch.id}`];
}
