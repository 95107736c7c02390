import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/base/clock.ts';
import { env } from '../../src/base/env.contract.ts';
import { silentLogger } from '../../src/base/log.ts';
import { type ChatMessage, EngineClient, type GenerateRequest, type GenerateResult } from '../../src/engine/index.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { forkEngine } from '../../workers/compose/fork-engine.ts';
import { PageStore } from '../../workers/compose/page-store.ts';
import { openEmbeddedStore } from '../support/embedded-store.ts';
import { testModelDir } from '../support/test-model.ts';
import { median, printTable, spread } from './figures.ts';

/**
 * What a worker pays that goes on behind a document which another one has read: pages from the object store against
 * reading the document again. Engines in processes of their own, each with an empty page folder; the embedded S3 server.
 * Run: `npm run bench:restore` (`-- --help` for its options).
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: testModelDir },
    tokens: { type: 'string', default: '8192' },
    repeat: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log('npm run bench:restore -- [--model DIR] [--tokens 8192] [--repeat 3] [--threads N]');
  process.exit(0);
}
const root = mkdtempSync(join(tmpdir(), 'quire-restore-'));
const tokenizer = await openTokenizer(flags.model);
const document = await writeDocument(Number(flags.tokens));
const { store, close: closeStore } = await openEmbeddedStore();
Object.assign(process.env, { [env.modelDir]: flags.model, [env.threads]: flags.threads });

/** Words of our own, until they are so many tokens. */
async function writeDocument(tokens: number): Promise<string> {
  const words = 'the lessee shall pay rent of each month on first day to lessor and keep premises in good repair'.split(
    ' ',
  );
  const lines: string[] = [];
  let count = 0;
  for (let clause = 1; count < tokens; clause++) {
    const line = `${clause}. ${Array.from({ length: 24 }, (_, at) => words[(clause * 7 + at * at) % words.length]).join(' ')}.\n`;
    count += tokenizer.encodePlain(line).length;
    lines.push(line);
  }
  return tokenizer.decode(tokenizer.encodePlain(lines.join('')).slice(0, tokens));
}

const message = (role: ChatMessage['role'], content: string): ChatMessage => ({
  role,
  content,
  name: null,
  reasoning: null,
  toolCalls: null,
  toolCallId: null,
});

let requests = 0;
function ask(tenant: string, text: string, question: string): GenerateRequest {
  return {
    id: `restore-${requests++}`,
    tenant,
    messages: [message('system', 'Answer.'), message('user', text), message('user', question)],
    tools: null,
    argumentSchemas: null,
    toolChoice: { type: 'auto' },
    parallelToolCalls: true,
    sharedMessages: 2,
    // one token beyond the two that open and close the thought
    maxTokens: 3,
    sampling: {
      temperature: 0,
      topP: 1,
      topK: 0,
      minP: 0,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      logitBias: null,
      seed: 1,
    },
    logprobs: null,
    stop: [],
    thinkingBudget: 0,
    format: { type: 'text' },
    priority: 1,
    deadlineMs: null,
    stream: false,
    checkpointEvery: null,
    resume: null,
  };
}

interface Worker {
  readonly client: EngineClient;
  readonly pages: PageStore;
  close(): void;
}

/** An engine with an empty page folder, which has run before: a measurement should not pay for the first run. */
async function openWorker(name: string): Promise<Worker> {
  process.env[env.pageDir] = join(root, name);
  const pages = new PageStore({ store, log: silentLogger, nowMs: () => performance.now() });
  const client = new EngineClient({ connect: () => forkEngine(), clock: systemClock, log: silentLogger, pages });
  await client.ready();
  await client.generate(ask(name, document.slice(0, 2_000), 'Warm up?'));
  return {
    client,
    pages,
    close: () => {
      client.close();
      pages.close();
    },
  };
}

async function timed(run: () => Promise<GenerateResult>): Promise<{ ms: number; result: GenerateResult }> {
  const startMs = performance.now();
  const result = await run();
  return { ms: performance.now() - startMs, result };
}

const cold: number[] = [];
const restored: number[] = [];
let figures = '';
for (let round = 0; round < Number(flags.repeat); round++) {
  const tenant = `tenant-${round}`;
  const first = await openWorker(`${round}-first`);
  const read = await timed(() => first.client.generate(ask(tenant, document, 'Who pays?')));
  cold.push(read.ms);
  // the second question makes it a shared prefix
  const second = await first.client.generate(ask(tenant, document, 'When?'));
  await first.pages.settled();
  const { uploaded } = first.pages.stats();
  first.close();
  rmSync(join(root, `${round}-first`), { recursive: true, force: true });

  const other = await openWorker(`${round}-other`);
  const again = await timed(() => other.client.generate(ask(tenant, document, 'When?')));
  restored.push(again.ms);
  if (again.result.cacheMiss !== null)
    throw new Error(`of ${uploaded} pages not all were found: ${again.result.cacheMiss}`);
  if (again.result.content !== second.content) throw new Error('the restored prefix gives another answer');
  const { downloaded } = other.pages.stats();
  figures = `${downloaded} pages, ${((other.pages.bytesPerSecond ?? 0) / 2 ** 20).toFixed(0)} MiB/s`;
  other.close();
}
await closeStore();
rmSync(root, { recursive: true, force: true });

const model = flags.model.split('/').at(-1);
console.log(
  `quire engine, ${model}, ${flags.threads} threads of ${cpus()[0]?.model ?? 'an unknown CPU'}, document of ${flags.tokens} tokens`,
);
const ratio = (100 * median(restored)) / median(cold);
printTable(
  ['time to first token', 'median', 'spread', 'of cold', 'to reach'],
  [
    ['cold, document read', `${median(cold).toFixed(0)} ms`, spread(cold), '100 %', ''],
    [
      `from the object store, ${figures}`,
      `${median(restored).toFixed(0)} ms`,
      spread(restored),
      `${ratio.toFixed(1)} %`,
      '≤ 15 %',
    ],
  ],
);
