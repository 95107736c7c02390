import { join } from 'node:path';
import { Command } from 'commander';
import { loadConfig } from '../../config/index.ts';
import { describeModel } from '../../engine/index.ts';
import { startStack } from '../../local/index.ts';
import { openS3ObjectStore } from '../../storage/index.ts';
import { readDemoDocuments } from '../demo/demo-input.ts';
import { renderAnswers } from '../demo/render.ts';
import { runDemoBatch } from '../demo/run-batch.ts';
import { type DemoSummary, judgeBatch, summarizeDemo } from '../demo/summary.ts';
import { StatusLine } from '../output.ts';
import { toPlainLine } from '../plain-text.ts';

interface DemoOptions {
  readonly dataDir?: string;
  readonly model?: string;
  readonly json?: boolean;
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('start everything, ask the sample documents thirteen questions through the stock OpenAI client, stop')
    .option('--data-dir <dir>', 'everything that is kept (else demo/ under QUIRE_DATA_DIR or .quire)')
    .option('--model <dir>', 'model folder (QUIRE_MODEL_DIR, else the bundled one)')
    .option('--json', 'one JSON object as the last line on stdout')
    .addHelpText('after', '\nExamples:\n  $ quire demo\n  $ quire demo --json | tail -1\n\nExit code 1: a line failed.')
    .action((options: DemoOptions) => runDemo(options));
}

async function runDemo(options: DemoOptions): Promise<void> {
  const config = loadConfig();
  const dataDir = options.dataDir ?? join(config.dataDir, 'demo');
  const modelDir = options.model ?? config.modelDir;
  const documents = await readDemoDocuments();
  const lines = documents.reduce((total, { questions }) => total + questions.length, 0);
  const card = await describeModel(modelDir);
  const status = new StatusLine();
  const startMs = Date.now();
  status.show(`starting Redis, the bucket, api, janitor, worker and engine (${card.id}) …`);
  const stack = await startStack({ dataDir, apiPort: 0, apiHost: '127.0.0.1', modelDir, onEvent: () => {} });
  try {
    status.show(
      `up after ${((Date.now() - startMs) / 1000).toFixed(1)} s; submitting ${documents.length} documents, ${lines} questions`,
    );
    const batch = await runDemoBatch(stack.apiUrl, card.id, documents, status);
    const wallMs = Date.now() - startMs;
    const summary = await summarizeDemo(openS3ObjectStore(stack.s3), batch, documents, { wallMs, dataDir });
    if (!options.json) {
      console.log(`\n${renderAnswers(judgeBatch(batch, documents))}\n`);
      printSummary(summary);
    }
    for (const line of batch.errorLines) console.error(`failed line: ${line}`);
    await stack.stop();
    if (options.json) console.log(JSON.stringify(summary));
    process.exit(summary.ok ? 0 : 1);
  } finally {
    await stack.stop();
  }
}

function printSummary(summary: DemoSummary): void {
  const key = summary.results[0]?.key ?? '';
  if (summary.notice !== null) console.log(`note: ${toPlainLine(summary.notice)}\n`);
  console.log(`${summary.ok ? 'done' : 'NOT done'}: ${summary.completed} of ${summary.lines} lines over ${summary.documents} documents in ${summary.wall_s} s
right:  ${summary.right} of ${summary.lines} answers, ${summary.shown} of them with a quote on its page that shows it
tokens: ${summary.prompt_tokens} read, of these ${summary.cached_tokens} from the prefix cache; ${summary.completion_tokens} written
speed:  ${summary.prefill_tok_s} tokens/s computed of prompts and, in the same time, ${summary.decode_tok_s} tokens/s written
result: s3://…/${key}
        sha256 ${summary.results[0]?.sha256 ?? ''}
read it again: npx quire object get --data-dir ${summary.data_dir} ${key}`);
}
