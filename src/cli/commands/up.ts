import { Command } from 'commander';
import { loadConfig } from '../../config/index.ts';
import { startStack } from '../../local/index.ts';
import { parsePort } from '../output.ts';

interface UpOptions {
  readonly dataDir?: string;
  readonly port?: string;
  readonly host?: string;
  readonly model?: string;
  readonly json?: boolean;
}

export function upCommand(): Command {
  return new Command('up')
    .description('run all of quire on this machine: Redis, an S3 server over a folder, api, janitor, worker, engine')
    .option('--data-dir <dir>', 'everything that is kept (QUIRE_DATA_DIR, else .quire)')
    .option('--port <n>', 'port of the API, 0 for a free one (QUIRE_API_PORT, else 8080)')
    .option('--host <address>', 'address of the API; other than loopback needs QUIRE_API_KEY (QUIRE_API_HOST)')
    .option('--model <dir>', 'model folder (QUIRE_MODEL_DIR, else the bundled one)')
    .option('--json', 'events as JSON lines on stdout, with process ids')
    .addHelpText(
      'after',
      `
Examples:
  $ quire up
  $ quire up --data-dir ./.quire --port 9000 &
  $ curl -s http://127.0.0.1:9000/readyz

Exit code 0 after Ctrl-C, 130 when a second one was needed.`,
    )
    .action((options: UpOptions) => runUp(options));
}

async function runUp(options: UpOptions): Promise<void> {
  const config = loadConfig();
  const dataDir = options.dataDir ?? config.dataDir;
  // whoever reads the events may stop reading; the work goes on
  process.stdout.on('error', () => {});
  const emit = (event: object): void => {
    if (options.json) console.log(JSON.stringify(event));
  };
  const stack = await startStack({
    dataDir,
    apiPort: options.port === undefined ? config.api.port : parsePort(options.port),
    apiHost: options.host ?? config.api.host,
    modelDir: options.model ?? config.modelDir,
    onEvent: emit,
  });
  emit({
    type: 'up',
    api_url: stack.apiUrl,
    s3_endpoint: stack.s3.endpoint,
    bucket: stack.s3.bucket,
    pids: stack.pids(),
  });
  if (!options.json) {
    console.log(`quire is up
  API        ${stack.apiUrl}/v1        (OpenAI-compatible; any bearer token on loopback)
  bucket     s3://${stack.s3.bucket} at ${stack.s3.endpoint}
  data       ${dataDir}   (keys of the bucket in aws-credentials, logs in logs/)
Ctrl-C stops everything.`);
  }
  const code = await stack.ended;
  process.exit(code);
}
