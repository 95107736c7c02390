import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { bundledModelDir } from '../../model/bundle/sample.ts';
import { said } from '../../model/eval/cached.ts';
import { evaluateSet } from '../../model/eval/evaluate.ts';
import { type EvaluationSet, readGeneratedSets } from '../../model/eval/evaluation-set.ts';
import { Product } from '../../model/eval/product.ts';
import { chooseSets, keepQuestions } from '../../model/eval/select.ts';
import { openEngineHost } from '../../src/engine/host.ts';
import type { EngineStats } from '../../src/engine/index.ts';
import { median, printTable, spread } from './figures.ts';

/**
 * What tokens guessed from the prompt give a trained model: the evaluation's questions with drafts and without, in
 * turns, and whether the answers are the same. `drafts.ts` has scripted answers for models of any size.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: bundledModelDir },
    sets: { type: 'string', default: 'short document,4K tokens by search,compare,count,sum' },
    at: { type: 'string', default: '1,12' },
    repeat: { type: 'string', default: '3' },
    drafts: { type: 'string', default: '8' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 2)) },
    fast: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(
    'node --import tsx test/bench/answer-drafts.ts [--sets NAMES] [--at 1,12] [--repeat 3] [--drafts 8] [--threads N] [--fast] [--model DIR]',
  );
  process.exit(0);
}
const draftTokens = Number(flags.drafts);

interface Measured {
  readonly ms: number;
  readonly decodeMs: number;
  readonly completionTokens: number;
  readonly drafted: number;
  readonly accepted: number;
  readonly runs: number;
  readonly answers: string;
}

/** The product around an engine of its own, and what the engine did since it was asked last. */
async function openProduct(drafts: number) {
  const host = await openEngineHost({
    modelDir: flags.model,
    threads: Number(flags.threads),
    reproducible: !flags.fast,
    precision: 'int4',
    pageMemoryBytes: 2 ** 28,
    pageDisk: null,
    maxSequences: 12,
    prefillTokens: 512,
    draftTokens: drafts,
  });
  let [decodeMs, completionTokens] = [0, 0];
  const ignore = () => {};
  const product = new Product(
    async (request, { onProgress = ignore, onCheckpoint = ignore }) => {
      const result = await host.engine.generate(request, { onProgress, onCheckpoint, onDelta: ignore });
      decodeMs += result.decodeMs;
      completionTokens += result.completionTokens;
      return result;
    },
    host.card,
    () => host.close(),
  );

  async function measure(set: EvaluationSet, total: number): Promise<Measured> {
    [decodeMs, completionTokens] = [0, 0];
    const before = host.engine.stats();
    const startMs = performance.now();
    const answers = total === 1 ? await askInTurn(product, set) : await askTogether(product, set);
    const ms = performance.now() - startMs;
    const after = host.engine.stats();
    const grown = (field: keyof EngineStats): number => Number(after[field]) - Number(before[field]);
    const [drafted, accepted, runs] = [grown('draftedTokens'), grown('acceptedTokens'), grown('runs')];
    return { ms, decodeMs, completionTokens, drafted, accepted, runs, answers: JSON.stringify(answers) };
  }
  return { measure, close: () => product.close() };
}

async function askInTurn(product: Product, set: EvaluationSet): Promise<unknown[]> {
  const answers: unknown[] = [];
  for (const document of set.documents) {
    for (const question of document.questions) {
      answers.push(said(await product.ask(document, question)));
    }
  }
  return answers;
}

async function askTogether(product: Product, set: EvaluationSet): Promise<unknown[]> {
  const { answers } = await evaluateSet((document, question) => product.ask(document, question), set);
  return answers.map(({ reply }) => said(reply));
}

type Opened = Awaited<ReturnType<typeof openProduct>>;

/** So many parts of a set: nothing is asked twice, since answers of before are drafted from too. */
function dealOut(set: EvaluationSet, parts: number): readonly EvaluationSet[] {
  const questions = set.documents.flatMap((document) => document.questions);
  return Array.from({ length: parts }, (_, part) =>
    keepQuestions(set, new Set(questions.filter((_question, index) => index % parts === part))),
  );
}

/** @param parts of a set; the first one is asked before the clock runs */
async function compare(
  plain: Opened,
  drafting: Opened,
  [first, ...others]: readonly EvaluationSet[],
  total: number,
): Promise<string[]> {
  if (first === undefined) throw new Error('no questions');
  const [without, drafted]: [Measured[], Measured[]] = [[], []];
  // the drafter learns what it would know in a running engine
  await plain.measure(first, total);
  await drafting.measure(first, total);
  for (const part of others) {
    without.push(await plain.measure(part, total));
    drafted.push(await drafting.measure(part, total));
  }
  const sum = (measured: readonly Measured[], of: (one: Measured) => number): number =>
    measured.reduce((all, one) => all + of(one), 0);
  const ratios = (of: (one: Measured) => number): number[] =>
    without.map((one, round) => of(one) / of(drafted[round] ?? one));
  const share = (part: number, all: number): string => (all === 0 ? '–' : `${((100 * part) / all).toFixed(0)} %`);
  const [written, guessed] = [sum(drafted, (one) => one.completionTokens), sum(drafted, (one) => one.drafted)];
  const decode = ratios(({ decodeMs }) => decodeMs);
  const isSame = without.every(({ answers }, round) => answers === drafted[round]?.answers);
  return [
    first.name,
    String(total),
    String(written),
    share(guessed, written),
    share(
      sum(drafted, (one) => one.accepted),
      guessed,
    ),
    `${sum(without, (one) => one.runs)} → ${sum(drafted, (one) => one.runs)}`,
    `${median(decode).toFixed(2)} × (${spread(decode.map((one) => one * 100))} %)`,
    `${median(ratios(({ ms }) => ms)).toFixed(2)} ×`,
    isSame ? 'yes' : 'NO',
  ];
}

console.log(
  `the model's own answers, int4, ${flags.fast ? 'fast' : 'exact'} form, ${flags.threads} threads of ${cpus()[0]?.model ?? 'an unknown CPU'}, at most ${draftTokens} drafted`,
);
const sets = chooseSets(await readGeneratedSets(), flags.sets);
const rows: string[][] = [];
for (const set of sets) {
  for (const total of flags.at.split(',').map(Number)) {
    // engines of their own, so that no answer of another row is known
    const [without, drafting] = [await openProduct(0), await openProduct(draftTokens)];
    rows.push(await compare(without, drafting, dealOut(set, 1 + Number(flags.repeat)), total));
    await without.close();
    await drafting.close();
  }
}
printTable(
  ['answers', 'at a time', 'tokens', 'drafted', 'came true', 'runs', 'decoding', 'whole time', 'same answers'],
  rows,
);
