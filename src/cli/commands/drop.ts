import { Command } from 'commander';
import { AppError, isAppError } from '../../base/errors.ts';
import { loadConfig } from '../../config/index.ts';
import { lockDataFolder, openLocalBucket } from '../../local/index.ts';
import { openS3ObjectStore } from '../../storage/index.ts';
import { followDrops } from '../follow-drops.ts';
import { type CliIo, printLine } from '../io.ts';
import { integerOption, withDataDir, withExamples, withJson } from '../options.ts';
import { type QuestionOptions, readQuestions, withQuestions } from '../questions.ts';

interface DropOptions extends QuestionOptions {
  readonly folder: string;
  readonly template?: string;
  readonly watch?: boolean;
  readonly wait: number;
  readonly table?: boolean;
  readonly dataDir?: string;
  readonly json?: boolean;
}

export function dropCommand(io: CliIo): Command {
  const command = new Command('drop')
    .description('put documents into a folder of the bucket, where each becomes a batch of its own')
    .argument('<files...>', 'documents; or batch.jsonl and the documents its lines name')
    .requiredOption('--folder <name>', 'folder under inbox/');
  withQuestions(command)
    .option('--template <file>', "the folder's analysis.json; instead of --ask")
    .option('--watch', 'wait for receipts and results, then show the results')
    .option('--wait <seconds>', 'with --watch: how long for the first receipt', integerOption(1, 86_400), 30)
    .option('--table', 'with --watch: the answers in one table, cut to its columns');
  withJson(withDataDir(command), 'one JSON object a line: dropped, then with --watch receipt, status, result, end');
  return withExamples(command, [
    '$ quire drop lease.md --folder leases --ask "What is the notice period?" --watch',
    '$ quire drop *.md --folder leases --template analysis.json',
    "$ quire drop *.md --folder leases                  as the folder's analysis.json says, else a summary",
    '$ quire drop batch.jsonl a.md b.md --folder march  lines of your own, one batch',
    '',
    'Receipts lie under receipts/<folder>/, progress under status/, results under outbox/ (quire object list outbox/).',
    'The same bytes under the same name run once; drop changed bytes, another name or another folder to ask again.',
    'Exit code 1 with --watch: a document was refused, or a line failed. 75: nothing took the documents up.',
  ]).action((files: string[], options: DropOptions) => runDrop(io, files, options));
}

async function runDrop(io: CliIo, paths: readonly string[], options: DropOptions): Promise<void> {
  // loads the intake's readers, which no other command needs
  const { buildTemplate, planDrop, readTemplate } = await import('../drop-plan.ts');
  const { putDrop } = await import('../put-drop.ts');
  const isAsking = options.ask !== undefined;
  if (isAsking && options.template !== undefined) {
    throw new AppError('input.invalid-request', 'give --ask or --template, not both');
  }
  const plan = await planDrop(paths, options.folder);
  const asked = isAsking ? buildTemplate(await readQuestions(options), options.model) : null;
  const template = options.template === undefined ? asked : await readTemplate(options.template);
  const config = loadConfig(io.variables);
  const dataDir = options.dataDir ?? config.dataDir;
  const bucket = await openBucket(dataDir, io);
  try {
    const store = openS3ObjectStore(bucket.s3);
    const drops = await putDrop(io, store, plan, template, options.json ?? false);
    // who runs over a bucket elsewhere, nobody can tell from here
    if (config.s3.endpoint === null && !isRunning(dataDir)) {
      const message = `no quire is running over ${dataDir}: the documents wait in its bucket until you start "quire up"`;
      if (options.watch) throw new AppError('transient.timeout', message);
      printLine(io.stderr, message);
    }
    if (options.watch) await followDrops(io, store, drops, options);
    else if (!options.json)
      printLine(io.stdout, `receipts: quire object list receipts/${plan.folder.slice('inbox/'.length)}`);
  } finally {
    await bucket.close();
  }
}

/** @throws `input.config` saying how to get a bucket */
async function openBucket(dataDir: string, io: CliIo): ReturnType<typeof openLocalBucket> {
  try {
    return await openLocalBucket(dataDir, io.variables);
  } catch (error) {
    if (!isAppError(error) || error.code !== 'input.config') throw error;
    const message = `${error.message}; start "quire up" first, or name the folder it was started with: --data-dir`;
    throw new AppError('input.config', message, { cause: error });
  }
}

function isRunning(dataDir: string): boolean {
  try {
    lockDataFolder(dataDir).release();
    return false;
  } catch (error) {
    if (!isAppError(error) || error.code !== 'input.data-folder-locked') throw error;
    // while no quire runs, the folder is ours, to have its bucket open
    return error.details['pid'] !== process.pid;
  }
}
