import { open } from 'node:fs/promises';
import { Command } from 'commander';
import { AppError } from '../../../base/errors.ts';
import { openApiOf } from '../../api-address.ts';
import { followBatch } from '../../follow-batch.ts';
import { type CliIo, printJson, printLine } from '../../io.ts';
import { collect, integerOption, withApi, withExamples, withJson } from '../../options.ts';
import { checkFile } from '../../text-files.ts';

interface CreateOptions {
  readonly api?: string;
  readonly dataDir?: string;
  readonly endpoint?: string;
  readonly window: string;
  readonly metadata?: readonly string[];
  readonly tokenBudget?: number;
  readonly watch?: boolean;
  readonly json?: boolean;
}

export function createCommand(io: CliIo): Command {
  const command = new Command('create')
    .description("make a batch of a file of lines, each a request in OpenAI's batch form")
    .argument('<input.jsonl>', 'lines for /v1/analyses, /v1/chat/completions or /v1/embeddings')
    .option('--endpoint <path>', 'what all lines call (else the url of the first line)')
    .option('--window <time>', 'how long the batch may take: 1h, 24h, 7d', '24h')
    .option('--metadata <key=value>', 'kept with the batch; may be repeated', collect)
    .option(
      '--token-budget <tokens>',
      'pause when its lines have used so many tokens',
      integerOption(1, Number.MAX_SAFE_INTEGER),
    )
    .option('--watch', 'follow it to its end');
  withJson(withApi(command), 'the batch as one JSON object; with --watch also progress and end, a line each');
  return withExamples(command, [
    '$ quire batch create questions.jsonl',
    '$ quire batch create questions.jsonl --window 1h --metadata project=leases --watch',
  ]).action((path: string, options: CreateOptions) => runCreate(io, path, options));
}

async function runCreate(io: CliIo, path: string, options: CreateOptions): Promise<void> {
  await checkFile(path);
  const endpoint = options.endpoint ?? (await findEndpoint(path));
  const metadata = parseMetadata(options.metadata ?? []);
  const api = await openApiOf(options, io);
  const inputFileId = await api.uploadInput(path);
  const { window, tokenBudget } = options;
  const budget = tokenBudget === undefined ? {} : { tokenBudget };
  const batch = await api.createBatch({ inputFileId, endpoint, window, metadata, ...budget });
  if (options.json) printJson(io.stdout, batch);
  else printLine(io.stdout, `${batch.id} ${batch.status}`);
  if (options.watch) await followBatch(io, api, batch.id, { ...options, results: false });
  else if (!options.json) printLine(io.stdout, `follow:  quire watch ${batch.id}`);
}

const headBytes = 1 << 20;

/** The url of the first line. @throws `input.invalid-request` when it has none */
async function findEndpoint(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    const [first = ''] = buffer.toString('utf8', 0, bytesRead).split('\n', 1);
    const { url } = JSON.parse(first) as { url?: unknown };
    if (typeof url === 'string') return url;
  } catch {
    // the sentence below says what is missing
  } finally {
    await file.close();
  }
  const message = `the first line of ${path} is no request with a url; correct it, or give --endpoint /v1/analyses`;
  throw new AppError('input.invalid-request', message);
}

function parseMetadata(pairs: readonly string[]): Readonly<Record<string, string>> | null {
  const entries = pairs.map((pair) => {
    const cut = pair.indexOf('=');
    if (cut > 0) return [pair.slice(0, cut), pair.slice(cut + 1)] as const;
    throw new AppError('input.invalid-request', `--metadata must look like key=value, not ${JSON.stringify(pair)}`);
  });
  return entries.length === 0 ? null : Object.fromEntries(entries);
}
