import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import OpenAI, { toFile } from 'openai';
import { testModelDir } from './test-model.ts';

const command = fileURLToPath(new URL('../../src/cli/quire.mjs', import.meta.url));

export interface StackEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** `quire up --json` as a user starts it, in its own process group. */
export class RunningStack {
  readonly dataDir: string;
  readonly events: StackEvent[] = [];
  readonly #child: ChildProcess;
  readonly #listeners = new Set<() => void>();
  #stderr = '';
  apiUrl = '';
  bucket = '';
  s3Endpoint = '';

  private constructor(dataDir: string, child: ChildProcess) {
    this.dataDir = dataDir;
    this.#child = child;
  }

  /** `port` of the api. @defaultValue 0: any free one */
  static async start(
    options: { dataDir?: string; port?: string; env?: Record<string, string> } = {},
  ): Promise<RunningStack> {
    const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'quire-stack-')));
    const child = spawn(
      process.execPath,
      [command, 'up', '--json', '--port', options.port ?? '0', '--data-dir', dataDir],
      {
        env: { QUIRE_MODEL_DIR: testModelDir, ...process.env, ...options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const stack = new RunningStack(dataDir, child);
    child.stderr?.on('data', (chunk) => {
      stack.#keepStderr(String(chunk));
    });
    if (child.stdout === null) throw new Error('no stdout');
    createInterface({ input: child.stdout }).on('line', (line) => {
      stack.events.push(JSON.parse(line) as StackEvent);
      for (const listener of stack.#listeners) listener();
    });
    child.on('exit', () => {
      for (const listener of stack.#listeners) listener();
    });
    const up = await stack.waitFor((event) => event.type === 'up');
    stack.apiUrl = String(up['api_url']);
    stack.bucket = String(up['bucket']);
    stack.s3Endpoint = String(up['s3_endpoint']);
    return stack;
  }

  #keepStderr(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-20_000);
  }

  get client(): OpenAI {
    return new OpenAI({ baseURL: `${this.apiUrl}/v1`, apiKey: 'test', maxRetries: 5 });
  }

  /** Newest process id of each process, by name. */
  pids(): Record<string, number> {
    const pids: Record<string, number> = {};
    for (const event of this.events) Object.assign(pids, event['pids'] ?? {});
    return pids;
  }

  /** First event, old or new (after index `from`), that matches. */
  waitFor(matches: (event: StackEvent) => boolean, from = 0): Promise<StackEvent> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const found = this.events.slice(from).find(matches);
        const gone = this.#child.exitCode !== null || this.#child.signalCode !== null;
        if (found === undefined && !gone) return;
        this.#listeners.delete(look);
        if (found === undefined) reject(new Error(`quire up ended: ${this.#stderr.slice(-3_000)}`));
        else resolve(found);
      };
      this.#listeners.add(look);
      look();
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const exited = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill(signal);
      await exited;
    }
    return this.#child.exitCode;
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  get stderr(): string {
    return this.#stderr;
  }
}

/** Uploads documents and a batch of questions about them; one line a question. */
export async function submitQuestions(
  client: OpenAI,
  documents: readonly { readonly name: string; readonly text: string }[],
  questionsEach: number,
  body: Record<string, unknown> = {},
): Promise<OpenAI.Batch> {
  const lines: string[] = [];
  for (const { name, text } of documents) {
    const file = await client.files.create({ file: await toFile(Buffer.from(text), name), purpose: 'user_data' });
    for (let index = 0; index < questionsEach; index++) {
      lines.push(
        JSON.stringify({
          custom_id: `${name}/${index}`,
          method: 'POST',
          url: '/v1/analyses',
          body: {
            model: 'quire-nano',
            documents: [{ file_id: file.id }],
            question: `What does section ${index} say?`,
            // lines end one after the other although they are answered together
            max_completion_tokens: 24 + 40 * index,
            thinking_budget: 8 + 30 * index,
            ...body,
          },
        }),
      );
    }
  }
  const input = await client.files.create({
    file: await toFile(Buffer.from(lines.join('\n')), 'batch.jsonl'),
    purpose: 'batch',
  });
  return client.batches.create({
    input_file_id: input.id,
    endpoint: '/v1/analyses' as '/v1/chat/completions',
    completion_window: '24h',
  });
}

const terminal = ['completed', 'failed', 'expired', 'cancelled'];

/** Polls until the batch is terminal; also gives every status met, to check for illegal moves. */
export async function pollToEnd(
  client: OpenAI,
  batchId: string,
  onPoll: (batch: OpenAI.Batch) => void = () => {},
): Promise<OpenAI.Batch> {
  for (;;) {
    const batch = await client.batches.retrieve(batchId);
    onPoll(batch);
    if (terminal.includes(batch.status)) return batch;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

export async function readLines(client: OpenAI, fileId: string | null | undefined): Promise<Record<string, unknown>[]> {
  if (!fileId) return [];
  const text = await (await client.files.content(fileId)).text();
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Documents of made-up clauses, long enough to span several blocks of 256 tokens. */
export function sampleDocuments(total: number): { name: string; text: string }[] {
  return Array.from({ length: total }, (_, index) => ({
    name: `contract-${index}.md`,
    text: [1, 2, 3, 4].map((page) => samplePage(index, page)).join('\n\f\n'),
  }));
}

function samplePage(party: number, page: number): string {
  const clauses = Array.from({ length: 8 }, (_, clause) => {
    const item = clause * 7 + page;
    return `${page}.${clause + 1} Party ${party} shall deliver item ${item} within ${clause + 3} days of notice.`;
  });
  return clauses.join('\n');
}
