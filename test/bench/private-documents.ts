import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openEngineHost } from '../../src/engine/host.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { generateRequest } from '../support/test-engine.ts';
import { median, printTable, spread } from './figures.ts';
import { decodeRate } from './peer/measure.ts';
import { ensureModelFiles } from './peer/model-files.ts';
import { type BenchPrompt, PromptWriter } from './peer/prompts.ts';
import type { ModelName } from './peer/shapes.ts';
import { buildWordVocabulary } from './peer/word-vocabulary.ts';

/**
 * One question about each of some documents that nobody shares: decoding in one run, however long each is, against a
 * window for each, and so a run for each. Both in turns in one engine, behind documents that were read before.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'A' },
    documents: { type: 'string', default: '8' },
    tokens: { type: 'string', default: '2500,3000,3500,4000' },
    answer: { type: 'string', default: '64' },
    rounds: { type: 'string', default: '3' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    exact: { type: 'boolean', default: false },
    folder: { type: 'string', default: join(tmpdir(), 'quire-bench-models') },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(
    'test/bench/private-documents.ts [--model A|B|tiny] [--documents 8] [--tokens 2500,3000,3500,4000: of each in turn] [--answer 64] [--rounds 3] [--threads N] [--exact] [--folder DIR]',
  );
  process.exit(0);
}

const [documents, answerTokens, threads] = [flags.documents, flags.answer, flags.threads].map(Number) as [
  number,
  number,
  number,
];
const lengths = flags.tokens.split(',').map(Number);
const questionTokens = 40;

const { folder } = await ensureModelFiles(flags.folder, flags.model as ModelName);
const tokenizer = await openTokenizer(folder);
const writer = new PromptWriter(tokenizer, buildWordVocabulary(tokenizer.vocabularySize).words);
const stopId = tokenizer.specialId('<|im_end|>');
const host = await openEngineHost({
  modelDir: folder,
  threads,
  reproducible: flags.exact,
  precision: 'int4',
  pageMemoryBytes: 4 * 2 ** 30,
  pageDisk: null,
  maxSequences: 64,
  prefillTokens: 256,
  // random weights repeat themselves
  draftTokens: 0,
});

let requests = 0;

/** When each token of the answer came. */
async function ask({ messages }: BenchPrompt, isShared: boolean, maxTokens: number): Promise<readonly number[]> {
  const tokenMs: number[] = [];
  const request = generateRequest(`bench-${requests++}`, {
    messages,
    sharedMessages: isShared ? 1 : 0,
    maxTokens,
    sampling: { ...generateRequest('').sampling, logitBias: [[stopId, -100]] },
  });
  await host.engine.generate(request, {
    onDelta: () => {},
    onCheckpoint: () => {},
    onProgress: ({ completionTokens }) => {
      while (tokenMs.length < completionTokens) tokenMs.push(performance.now());
    },
  });
  return tokenMs;
}

/** One question about each document. */
const promptsOf = (round: number): readonly BenchPrompt[] =>
  Array.from({ length: documents }, (_, document) =>
    writer.write(lengths[document % lengths.length] ?? 0, questionTokens, document, 1000 * round + document),
  );

const kinds = [
  { title: 'a window for each', isShared: true, rates: [] as number[], ms: [] as number[] },
  { title: 'own rows, one run', isShared: false, rates: [] as number[], ms: [] as number[] },
];
try {
  // pages of documents are the same for both
  for (const prompt of promptsOf(0)) await ask(prompt, true, 1);
  for (let round = 1; round <= Number(flags.rounds); round++) {
    for (const [index, { isShared, rates, ms }] of kinds.entries()) {
      const startMs = performance.now();
      const asked = promptsOf(2 * round + index).map((prompt) => ask(prompt, isShared, answerTokens));
      rates.push(decodeRate(await Promise.all(asked)));
      ms.push(performance.now() - startMs);
    }
  }
} finally {
  await host.close();
}
const form = flags.exact ? 'exact' : 'fast';
console.log(
  `model ${flags.model}, ${form} form, ${threads} threads: ${documents} documents of ${flags.tokens} tokens, a question of ${questionTokens} and ${answerTokens} tokens of answer about each\n`,
);
const first = median(kinds[0]?.rates ?? []);
printTable(
  ['', 'decode, tok/s', 'lowest – highest', 'ratio', 'all answers, s'],
  kinds.map(({ title, rates, ms }) => [
    title,
    median(rates).toFixed(1),
    spread(rates),
    `${(median(rates) / first).toFixed(2)} ×`,
    (median(ms) / 1000).toFixed(1),
  ]),
);
