import { Command } from 'commander';
import { demoCommand } from './commands/demo.ts';
import { modelCommand } from './commands/model.ts';
import { objectCommand } from './commands/object.ts';
import { upCommand } from './commands/up.ts';
import { reportFailure } from './output.ts';

const program = new Command('quire')
  .description('Batch processor for long documents: submit documents and questions, poll, read answers tied to pages.')
  .addCommand(upCommand())
  .addCommand(demoCommand())
  .addCommand(modelCommand())
  .addCommand(objectCommand())
  .addHelpText(
    'after',
    `
Examples:
  $ quire up                                  everything on this machine, API on http://127.0.0.1:8080
  $ quire demo                                sample documents, thirteen questions, results in the bucket
  $ quire model verify test/fixtures/k2-tiny-int4
  $ quire object get v1/default/batches/batch_…/output.jsonl

Exit codes: 0 done, 1 some work failed, 2 wrong input or settings, 70 a fault of quire, 75 try again later.`,
  );

program.parseAsync().catch((error: unknown) => reportFailure(error, process.argv.includes('--json')));
