import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type EngineHost, type EngineHostOptions, openEngineHost } from '../../src/engine/host.ts';
import type { EngineStats, GenerateRequest, GenerateResult } from '../../src/engine/index.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { chatMessage, generateRequest } from '../support/test-engine.ts';
import { testModelDir } from '../support/test-model.ts';
import { median, printTable, spread } from './figures.ts';

/**
 * What prefix reuse and continuous batching give, each against the same work without them in the same run.
 * Run: `npm run bench:engine` (`-- --help` for its options); README.md beside it says how to read the table.
 */
if (process.argv.includes('--peer')) {
  const { runPeerBench } = await import('./peer/compare.ts');
  const isDone = await runPeerBench(process.argv.slice(2)).then(
    () => true,
    (error: unknown) => console.error(error instanceof Error ? error.message : error),
  );
  process.exit(isDone === true ? 0 : 1);
}
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: testModelDir },
    tokens: { type: 'string', default: '8192' },
    questions: { type: 'string', default: '16' },
    answer: { type: 'string', default: '64' },
    repeat: { type: 'string', default: '3' },
    precision: { type: 'string', default: 'int4' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(
    'npm run bench:engine -- --peer --help      against node-llama-cpp\nnpm run bench:engine -- [--model DIR] [--tokens 8192] [--questions 16] [--answer 64] [--repeat 3] [--threads N] [--precision int4|full]',
  );
  process.exit(0);
}
const documentTokens = Number(flags.tokens);
const questionTotal = Number(flags.questions);
const answerTokens = Number(flags.answer);
const repeats = Number(flags.repeat);
const threads = Number(flags.threads);
const precision = flags.precision === 'full' ? 'full' : 'int4';
const root = mkdtempSync(join(tmpdir(), 'quire-bench-'));
const tokenizer = await openTokenizer(flags.model);
const document = await writeDocument(documentTokens);

/** Words of our own, until they are so many tokens. */
async function writeDocument(tokens: number): Promise<string> {
  const words =
    'the lessee shall pay rent of each month on first day to lessor and keep premises in good repair at own cost'.split(
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

let requests = 0;
function ask(tenant: string, question: string, maxTokens: number): GenerateRequest {
  const messages = [chatMessage('system', 'Answer.'), chatMessage('user', document), chatMessage('user', question)];
  return generateRequest(`bench-${requests++}`, {
    tenant,
    messages,
    sharedMessages: 2,
    maxTokens,
    // answers of equal length: no end of turn
    sampling: {
      ...generateRequest('').sampling,
      logitBias: [[tokenizer.specialId('<|im_end|>'), -100]],
    },
    checkpointEvery: { tokens: 64, ms: 5_000 },
  });
}

const silent = { onProgress: () => {}, onDelta: () => {}, onCheckpoint: () => {} };
/** One token beyond the two that open and close the thought. */
const firstToken = 3;

async function timed<Result>(run: () => Promise<Result>): Promise<{ ms: number; result: Result }> {
  const startMs = performance.now();
  const result = await run();
  return { ms: performance.now() - startMs, result };
}

async function open(reproducible: boolean, more: Partial<EngineHostOptions> = {}): Promise<EngineHost> {
  return openEngineHost({
    modelDir: flags.model,
    threads,
    reproducible,
    precision,
    pageMemoryBytes: 2 ** 31,
    pageDisk: { folder: join(root, 'pages'), budgetBytes: 2 ** 33 },
    maxSequences: 64,
    prefillTokens: 256,
    // text of random weights repeats itself by chance: drafts have a bench of their own
    draftTokens: 0,
    ...more,
  });
}

const ask1 = (host: EngineHost, tenant: string, question = 'Who pays?', tokens = firstToken) =>
  host.engine.generate(ask(tenant, question, tokens), silent);

interface FirstTokens {
  readonly cold: number[];
  /** Right behind the cold one: the document's pages are still going to disk. */
  readonly atOnce: number[];
  readonly window: number[];
}

/** Time to first token of a new question: the document unknown, and in a window. */
async function benchFirstToken(host: EngineHost, form: string): Promise<FirstTokens> {
  const [cold, atOnce, window]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < repeats; round++) {
    const tenant = `${form}-${round}`;
    cold.push((await timed(() => ask1(host, tenant, `First ${round}?`))).ms);
    atOnce.push((await timed(() => ask1(host, tenant, `Second ${round}?`))).ms);
    const later: number[] = [];
    for (let again = 0; again < 5; again++)
      later.push((await timed(() => ask1(host, tenant, `Later ${round} ${again}?`))).ms);
    window.push(median(later));
  }
  return { cold, atOnce, window };
}

/**
 * The same with its pages in memory and its window given to another document: memory has room for the pages of both and
 * for one window, and they are asked about in turn.
 */
async function benchMemoryPages(reproducible: boolean, form: string, blockBytes: number): Promise<number[]> {
  const blocks = Math.ceil(documentTokens / 256) + 4;
  const host = await open(reproducible, { pageMemoryBytes: 4 * blocks * blockBytes, pageDisk: null });
  const askOf = (tenant: string, question: string) => timed(() => ask1(host, `${form}-${tenant}`, question));
  await askOf('one', 'First?');
  await askOf('other', 'First?');
  const memory: number[] = [];
  for (let round = 0; round < 2 * repeats; round++) {
    const { ms, result } = await askOf(round % 2 === 0 ? 'one' : 'other', `Third ${round}?`);
    if (result.cacheMiss !== null) throw new Error(`the pages were not found in memory: ${result.cacheMiss}`);
    memory.push(ms);
  }
  await host.close();
  return memory;
}

/** The same with the pages on disk, as a process finds them that starts after the first one has ended. */
async function benchDisk(reproducible: boolean, form: string): Promise<number[]> {
  const disk: number[] = [];
  for (let round = 0; round < repeats; round++) {
    const again = await open(reproducible);
    await again.runner.run(warmUpStep(again));
    const { ms, result } = await timed(() => ask1(again, `${form}-${round}`, `Fourth ${round}?`));
    if (result.cacheMiss !== null) throw new Error(`the pages were not found on disk: ${result.cacheMiss}`);
    disk.push(ms);
    await again.close();
  }
  return disk;
}

function rowsOfFirstTokens(
  { cold, atOnce, window }: FirstTokens,
  memory: readonly number[],
  disk: readonly number[],
  form: string,
) {
  const base = median(cold);
  const row = (name: string, times: readonly number[], goal: string) => [
    form,
    name,
    `${median(times).toFixed(1)} ms`,
    spread(times),
    `${((100 * median(times)) / base).toFixed(1)} %`,
    goal,
  ];
  return [
    row('cold', cold, ''),
    row('warm, window, pages going to disk', atOnce, ''),
    row('warm, window', window, '≤ 2 % of cold'),
    row('warm, memory', memory, '≤ 2 % of cold'),
    row('warm, disk', disk, '≤ 10 % of cold'),
  ];
}

/** The first run of a session allocates; no measurement should pay for it. */
function warmUpStep(host: EngineHost) {
  const { layers, latentWidth } = host.runner;
  const rows = Array.from({ length: layers }, () => new Float32Array(256 * latentWidth));
  const sequences = [{ tokenIds: [1, 2, 3], start: 0, wanted: 1 }];
  return { sequences, prefix: rows, prefixRows: 0, suffix: rows, suffixRows: 256, head: true };
}

interface Phase {
  readonly ms: number;
  readonly results: readonly GenerateResult[];
  readonly before: EngineStats;
  readonly after: EngineStats;
}

async function runQuestions(host: EngineHost, tenants: readonly string[], atOnce: boolean): Promise<Phase> {
  const before = host.engine.stats();
  const startMs = performance.now();
  const results: GenerateResult[] = [];
  const one = (tenant: string, index: number) => ask1(host, tenant, `Question ${index}: who pays?`, answerTokens + 2);
  if (atOnce) results.push(...(await Promise.all(tenants.map(one))));
  else for (const [index, tenant] of tenants.entries()) results.push(await one(tenant, index));
  return { ms: performance.now() - startMs, results, before, after: host.engine.stats() };
}

/** Share of the time outside the runtime, in per cent. */
function overheadOf({ before, after }: Phase): number {
  const outside = after.overheadMs - before.overheadMs;
  return (100 * outside) / (outside + after.runMs - before.runMs);
}

async function benchQuestions(host: EngineHost, form: string): Promise<string[][]> {
  const shared = Array.from({ length: questionTotal }, () => `${form}-shared`);
  const together = await runQuestions(host, shared, true);
  // a tenant of its own shares nothing: the same engine without reuse
  const alone = await runQuestions(
    host,
    shared.map((_, index) => `${form}-alone-${index}`),
    false,
  );
  const warm = await runQuestions(host, shared, true);
  const single = await runQuestions(host, shared.slice(0, 1), true);
  const tokens = (phase: Phase): number =>
    phase.results.reduce((sum, { completionTokens }) => sum + completionTokens, 0);
  const row = (name: string, phase: Phase, ratio: string, goal: string) => [
    form,
    name,
    `${(phase.ms / 1000).toFixed(2)} s`,
    `${(tokens(phase) / (phase.ms / 1000)).toFixed(0)} tok/s, ${overheadOf(phase).toFixed(1)} % outside run`,
    ratio,
    goal,
  ];
  return [
    row(`${questionTotal} questions × ${answerTokens}, one by one, nothing shared`, alone, '1', ''),
    row(
      `${questionTotal} questions × ${answerTokens}, together, cold`,
      together,
      `${(alone.ms / together.ms).toFixed(1)} ×`,
      '≥ 5 ×',
    ),
    row(
      `${questionTotal} questions × ${answerTokens}, together, warm`,
      warm,
      `${(alone.ms / warm.ms).toFixed(1)} ×`,
      'overhead ≤ 5 %',
    ),
    row(`1 question × ${answerTokens}, warm`, single, '', 'overhead ≤ 5 %'),
  ];
}

/** Latent memory while the questions run together: what one more of them takes. */
async function benchMemory(host: EngineHost, form: string): Promise<string[][]> {
  host.engine.dropIdle();
  const held: number[] = [];
  for (const total of [1, questionTotal]) {
    let most = 0;
    const watch = {
      ...silent,
      onProgress: () => {
        most = Math.max(most, host.engine.stats().blocks.held);
      },
    };
    await Promise.all(
      Array.from({ length: total }, (_, index) =>
        host.engine.generate(ask(`${form}-shared`, `Question ${index}: who pays?`, answerTokens + 2), watch),
      ),
    );
    held.push(most);
  }
  const { blockBytes } = host.engine.stats().blocks;
  const [one = 0, all = 0] = held;
  const perQuestion = ((all - one) * blockBytes) / (questionTotal - 1);
  const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(2)} MiB`;
  return [
    [form, 'latents of one question with its document', mebibytes(one * blockBytes), '', '', ''],
    [
      form,
      'latents of each further question',
      mebibytes(perQuestion),
      '',
      `${((100 * perQuestion) / (one * blockBytes)).toFixed(1)} %`,
      '',
    ],
  ];
}

console.log(
  `quire engine, ${flags.model.split('/').at(-1)}, ${threads} threads of ${cpus()[0]?.model ?? 'an unknown CPU'}, document of ${documentTokens} tokens`,
);
for (const reproducible of [true, false]) {
  const form = reproducible ? 'exact' : 'fast';
  const host = await open(reproducible);
  // warm up: kernels, JIT, tokenizer
  await ask1(host, `${form}-warm-up`);
  const first = await benchFirstToken(host, form);
  const rest = [...(await benchQuestions(host, form)), ...(await benchMemory(host, form))];
  const { blockBytes } = host.engine.stats().blocks;
  await host.close();
  const memory = await benchMemoryPages(reproducible, form, blockBytes);
  const rows = [...rowsOfFirstTokens(first, memory, await benchDisk(reproducible, form), form), ...rest];
  printTable(['form', 'what', 'median', 'spread', 'of cold / ratio', 'to reach'], rows);
}
rmSync(root, { recursive: true, force: true });
