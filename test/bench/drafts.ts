import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { NgramIndex } from '../../src/engine/draft/ngram-index.ts';
import type { EngineStats, GenerateRequest } from '../../src/engine/index.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { encodePrompt } from '../../src/engine/tokenizer/chat-template.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { SeededRandom } from '../support/seeded-random.ts';
import { chatMessage, generateRequest, openTestEngine, RecordingListener } from '../support/test-engine.ts';
import { testModelDir } from '../support/test-model.ts';
import { median, printTable, spread } from './figures.ts';
import { modelShapes } from './peer/shapes.ts';
import { wordOf } from './peer/word-vocabulary.ts';
import { writeShapeCheckpoint } from './peer/write-checkpoint.ts';
import { openScriptedRunner, writeQuotes, writeTraps } from './scripted-answers.ts';

/**
 * What tokens guessed from the prompt give, and what they cost when none comes true: the same scripted answers with
 * drafts and without, in turns. Run: `npm run bench:drafts` (`-- --help`); README.md beside it says how to read it.
 */
const { values: flags } = parseArgs({
  options: {
    models: { type: 'string', default: 'nano,A' },
    tokens: { type: 'string', default: '2048' },
    answer: { type: 'string', default: '120' },
    at: { type: 'string', default: '1,8' },
    repeat: { type: 'string', default: '3' },
    drafts: { type: 'string', default: '8' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    precision: { type: 'string', default: 'int4' },
    fast: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(
    'npm run bench:drafts -- [--models nano,A,B,tiny] [--tokens 2048] [--answer 120] [--at 1,8] [--repeat 3] [--drafts 8] [--threads N] [--precision int4|full] [--fast]',
  );
  process.exit(0);
}
const documentTokens = Number(flags.tokens);
const answerTokens = Number(flags.answer);
const draftTokens = Number(flags.drafts);
const precision = flags.precision === 'full' ? 'full' : 'int4';
const root = mkdtempSync(join(tmpdir(), 'quire-drafts-'));
const corpusDir = fileURLToPath(new URL('../../model/training/tokenizer/texts', import.meta.url));

/** English documents, for a tokenizer that knows English. */
function readCorpus(): string {
  return readdirSync(corpusDir)
    .filter((file) => file.endsWith('.txt'))
    .toSorted()
    .map((file) => readFileSync(join(corpusDir, file), 'utf8'))
    .join('\n');
}

/** Words as often as in a language: the n-th most frequent 1 / n as often as the first. */
function writeWords(total: number): string {
  const random = new SeededRandom(5);
  const weighted = Array.from({ length: 600 }, (_, rank) => [wordOf(rank * 41), 1 / (rank + 1)] as const);
  return Array.from({ length: total }, () => ` ${random.pick(weighted)}`).join('');
}

interface Work {
  readonly name: string;
  readonly answerTo: (question: number, prompt: readonly number[]) => readonly number[];
}

let requestTotal = 0;

interface Measured {
  readonly tokensPerSecond: number;
  readonly before: EngineStats;
  readonly after: EngineStats;
  readonly contents: readonly string[];
}

async function benchModel(model: string): Promise<string[][]> {
  const shape = model === 'A' || model === 'B' || model === 'tiny' ? modelShapes[model] : null;
  const folder = shape === null ? testModelDir : join(root, model);
  if (shape !== null) await writeShapeCheckpoint(folder, shape);
  const tokenizer = await openTokenizer(folder, shape?.vocabulary);
  const whole = tokenizer.encodePlain(shape === null ? readCorpus() : writeWords(documentTokens));
  const documentIds = whole.slice(0, documentTokens);
  const document = tokenizer.decode(documentIds);
  const reproducible = !flags.fast;
  const { runner, scripts, follow } = openScriptedRunner(
    await openOrtRunner(folder, { precision, threads: Number(flags.threads), reproducible }),
  );
  const messagesOf = (question: number) => [
    chatMessage('system', 'Answer.'),
    chatMessage('user', document),
    chatMessage('user', `Question ${question}?`),
  ];
  const engines = [0, draftTokens].map((drafts) => {
    const { engine } = openTestEngine(runner, { tokenizer, blocks: 512, draftTokens: drafts, maxSequences: 64 });
    return engine;
  });

  /** Requests of one piece of work at once, behind a document that is in a window. */
  async function measure(work: Work, total: number, drafts: boolean): Promise<Measured> {
    const engine = engines[drafts ? 1 : 0];
    if (engine === undefined) throw new Error('no engine');
    follow(engine);
    const requests = Array.from({ length: total }, (_, question): GenerateRequest => {
      const messages = messagesOf(question);
      const { ids } = encodePrompt(tokenizer, messages, null, 2);
      // never the same twice, so that the runner hears of every change of the requests in a run
      const id = `${work.name} ${requestTotal++}`;
      const opening = shape === null ? [tokenizer.specialId('<think>'), tokenizer.specialId('</think>')] : [];
      const prompt = [...ids, ...opening];
      scripts.set(id, { firstRow: prompt.length, tokenIds: work.answerTo(question, prompt) });
      return generateRequest(id, { messages, sharedMessages: 2, maxTokens: opening.length + answerTokens });
    });
    const before = engine.stats();
    const startMs = performance.now();
    const results = await Promise.all(requests.map((request) => engine.generate(request, new RecordingListener())));
    const ms = performance.now() - startMs;
    await new Promise(setImmediate);
    const contents = results.map(({ content }) => content);
    for (const [question, content] of contents.entries()) {
      const { tokenIds } = scripts.get(requests[question]?.id ?? '') ?? { tokenIds: [] };
      const expected = tokenizer.decode(tokenIds.slice(0, answerTokens));
      if (content !== expected) throw new Error(`${work.name}: the answer is not the scripted one`);
    }
    return { tokensPerSecond: (total * answerTokens * 1000) / ms, before, after: engine.stats(), contents };
  }

  const works: readonly Work[] = [
    ...[0.7, 0.3].map((share) => ({
      name: `${share * 100} % quoted`,
      answerTo: (question: number) => writeQuotes(documentIds, answerTokens, share, question + 1),
    })),
    { name: 'own words', answerTo: (question) => writeQuotes(documentIds, answerTokens, 0, question + 1) },
    {
      name: 'always misled',
      answerTo: (question, prompt) => writeTraps(prompt, documentIds, answerTokens, question + 1),
    },
  ];
  const rows: string[][] = [];
  for (const work of works) {
    for (const total of flags.at.split(',').map(Number)) rows.push(await compare(model, work, total, measure));
  }
  await runner.close();
  return rows;
}

async function compare(
  model: string,
  work: Work,
  total: number,
  measure: (work: Work, total: number, drafts: boolean) => Promise<Measured>,
): Promise<string[]> {
  const [without, drafting]: [Measured[], Measured[]] = [[], []];
  // reads the document, and lets the drafter learn what it would know in a running engine
  for (const drafts of [false, true]) await measure(work, total, drafts);
  for (let round = 0; round < Number(flags.repeat); round++) {
    without.push(await measure(work, total, false));
    drafting.push(await measure(work, total, true));
  }
  const speeds = (measured: readonly Measured[]): number[] => measured.map(({ tokensPerSecond }) => tokensPerSecond);
  const sum = (field: 'draftedTokens' | 'acceptedTokens' | 'runs', measured = drafting): number =>
    measured.reduce((all, { before, after }) => all + after[field] - before[field], 0);
  const ratios = drafting.map(({ tokensPerSecond }, round) => tokensPerSecond / (speeds(without)[round] ?? Number.NaN));
  const answered = total * answerTokens * drafting.length;
  const share = (part: number, all: number): string => (all === 0 ? '–' : `${((100 * part) / all).toFixed(0)} %`);
  return [
    model,
    work.name,
    String(total),
    median(speeds(without)).toFixed(1),
    median(speeds(drafting)).toFixed(1),
    `${median(ratios).toFixed(2)} × (${spread(ratios.map((ratio) => ratio * 100))} %)`,
    share(sum('draftedTokens'), answered),
    share(sum('acceptedTokens'), sum('draftedTokens')),
    `${sum('runs', without)} → ${sum('runs')}`,
  ];
}

/** The look-up alone, in a prompt of words as frequent as in a language. */
function benchLookup(promptTokens: number): void {
  const random = new SeededRandom(9);
  const weighted = Array.from({ length: 2_000 }, (_, rank) => [rank, 1 / (rank + 1)] as const);
  const tokens = Array.from({ length: 20_000 }, () => random.pick(weighted));
  while (tokens.length < promptTokens) tokens.push(...tokens.slice(0, promptTokens - tokens.length).toReversed());
  let startMs = performance.now();
  const index = new NgramIndex(tokens.length);
  index.find(tokens);
  const buildMs = performance.now() - startMs;
  const total = 2_000;
  startMs = performance.now();
  for (let count = 0; count < total; count++) {
    tokens.push(tokens[(count * 7919) % promptTokens] ?? 0);
    index.find(tokens);
  }
  const each = ((performance.now() - startMs) * 1000) / total;
  console.log(
    `look-up in ${promptTokens} tokens: ${buildMs.toFixed(1)} ms once, then ${each.toFixed(1)} µs a token of the answer\n`,
  );
}

console.log(
  `quire engine, ${precision}, ${flags.fast ? 'fast' : 'exact'} form, ${flags.threads} threads of ${cpus()[0]?.model ?? 'an unknown CPU'}, document of ${documentTokens} tokens, scripted answers of ${answerTokens}, at most ${draftTokens} drafted`,
);
benchLookup(100_000);
for (const model of flags.models.split(',')) {
  const head = ['model', 'answers', 'at a time', 'tok/s', 'with drafts', 'ratio', 'drafted', 'came true', 'runs'];
  printTable(head, await benchModel(model));
}
rmSync(root, { recursive: true, force: true });
