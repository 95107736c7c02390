import { Command } from 'commander';
import type { CliIo } from '../io.ts';
import { withExamples } from '../options.ts';
import { budgetCommand } from './batch/budget.ts';
import { cancelCommand } from './batch/cancel.ts';
import { createCommand } from './batch/create.ts';
import { getCommand } from './batch/get.ts';
import { listCommand } from './batch/list.ts';
import { resultsCommand } from './batch/results.ts';

export function batchCommand(io: CliIo): Command {
  const command = new Command('batch')
    .description('make, look at and cancel batches')
    .addCommand(createCommand(io))
    .addCommand(getCommand(io))
    .addCommand(listCommand(io))
    .addCommand(cancelCommand(io))
    .addCommand(budgetCommand(io))
    .addCommand(resultsCommand(io));
  return withExamples(command, [
    '$ quire batch create questions.jsonl --watch',
    '$ quire batch list',
    '$ quire batch results batch_…',
  ]);
}
