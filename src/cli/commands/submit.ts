import { Command } from 'commander';
import type { BatchObject } from '../../api/schemas/batch.schema.ts';
import { AppError } from '../../base/errors.ts';
import { openApiOf } from '../api-address.ts';
import type { QuireApi } from '../client.ts';
import { followBatch } from '../follow-batch.ts';
import { type CliIo, printJson, printLine } from '../io.ts';
import { withApi, withExamples, withJson } from '../options.ts';
import { StatusLine } from '../output.ts';
import { type AskedAs, type QuestionOptions, readQuestions, withQuestions } from '../questions.ts';
import { checkTextFile, type NamedFile, nameFiles } from '../text-files.ts';

interface SubmitOptions extends QuestionOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly watch?: boolean;
  readonly table?: boolean;
  readonly window: string;
  readonly json?: boolean;
}

export function submitCommand(io: CliIo): Command {
  const command = new Command('submit')
    .description('upload documents and ask every question of each: one batch, answers tied to pages')
    .argument('<files...>', 'text or Markdown; a form feed ends a page');
  withQuestions(command)
    .option('--watch', 'show the progress, then the answers; else the id of the batch is printed at once')
    .option('--table', 'with --watch: the answers in one table, cut to its columns')
    .option('--window <time>', 'how long the batch may take: 1h, 24h, 7d', '24h');
  withJson(withApi(command), 'one JSON object a line on stdout: submitted, then with --watch progress, result, end');
  return withExamples(command, [
    '$ quire submit lease.md --ask "What is the notice period?" --watch',
    '$ quire submit contracts/*.md --ask "Who are the parties?" --ask "Which law governs?"',
    '$ quire submit lease.md --ask "Rent a month, in euros?" --schema number.json --watch --json',
    '',
    'A line is named <file>/q<number of the question>. Exit code 1 with --watch: a line failed.',
  ]).action((files: string[], options: SubmitOptions) => runSubmit(io, files, options));
}

async function runSubmit(io: CliIo, paths: readonly string[], options: SubmitOptions): Promise<void> {
  const asked = await readQuestions(options);
  const files = nameFiles(paths);
  const { readableTypes } = await import('../../intake/index.ts');
  for (const { path } of files) await checkTextFile(path, readableTypes);
  const api = await openApiOf(options, io);
  const batch = await submit(io, api, files, asked, options);
  if (options.json) printJson(io.stdout, { type: 'submitted', batch });
  const lines = files.length * asked.questions.length;
  if (options.watch) return followBatch(io, api, batch.id, { ...options, results: true });
  if (options.json) return;
  printLine(io.stdout, `${batch.id} submitted: ${files.length} documents, ${lines} lines`);
  printLine(io.stdout, `follow:  quire watch ${batch.id}\nresults: quire batch results ${batch.id}`);
}

async function submit(
  io: CliIo,
  api: QuireApi,
  files: readonly NamedFile[],
  asked: AskedAs,
  { model, window }: SubmitOptions,
): Promise<BatchObject> {
  const served = await chooseModel(api, model);
  const status = new StatusLine(io.stderr);
  const lines: string[] = [];
  for (const [index, { path, name }] of files.entries()) {
    if (io.stderr.isTTY) status.show(`uploading ${index + 1} of ${files.length}: ${name}`);
    const fileId = await api.uploadDocument(path);
    lines.push(...buildLines(name, fileId, served, asked));
  }
  const inputFileId = await api.uploadLines(lines);
  status.end();
  return api.createBatch({ inputFileId, endpoint: '/v1/analyses', window, metadata: null });
}

/** @throws `input.model-not-found` before anything is uploaded */
async function chooseModel(api: QuireApi, named: string | undefined): Promise<string> {
  const served = await api.listModels();
  const chosen = named ?? served[0];
  if (chosen !== undefined && served.includes(chosen)) return chosen;
  const message = `the model ${JSON.stringify(named)} is not served here; served: ${served.join(', ') || 'none'}`;
  throw new AppError('input.model-not-found', message);
}

/** Lines of one document stand next to each other: they share what was read of it. */
export function buildLines(name: string, fileId: string, model: string, asked: AskedAs): readonly string[] {
  return asked.questions.map(({ id, text }) =>
    JSON.stringify({
      custom_id: `${name}/${id}`,
      method: 'POST',
      url: '/v1/analyses',
      body: {
        model,
        documents: [{ file_id: fileId }],
        question: text,
        answer: asked.answer,
        ...(asked.schema === null ? {} : { schema: asked.schema }),
        ...asked.fields,
      },
    }),
  );
}
