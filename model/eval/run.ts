import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { insertEvaluation } from './card.ts';
import { evaluateSet, type SetScores } from './evaluate.ts';
import { readDemoSet, readGeneratedSets } from './evaluation-set.ts';
import { plotRows } from './plot.ts';
import { Product } from './product.ts';
import { type Row, renderRows, summarize, summarizeBy } from './table.ts';

/**
 * `npm run eval`: the model's answers to questions it was not trained on, through the product. Prints Markdown; with
 * `--out FOLDER` writes `evaluation.json` and `evaluation.svg` there and the tables into its `README.md`, the model card. `--sets a,b` takes only sets whose
 * name begins so; `--show` prints each reply.
 */
const bundled = fileURLToPath(new URL('../quire-nano', import.meta.url));
const { values: options } = parseArgs({
  options: {
    model: { type: 'string', default: bundled },
    precision: { type: 'string', default: 'int4,full' },
    out: { type: 'string' },
    sets: { type: 'string', default: '' },
    show: { type: 'boolean', default: false },
  },
});

export interface Report {
  readonly model: { readonly id: string; readonly digest: string };
  readonly sets: readonly Row[];
  readonly kinds: readonly Row[];
  /** All sets together under each precision. */
  readonly precisions: readonly Row[];
}

const wanted = options.sets.split(',');
const sets = [...(await readGeneratedSets()), await readDemoSet()].filter(({ name }) =>
  wanted.some((start) => name.startsWith(start)),
);
const precisions = options.precision.split(',').map((name) => {
  if (name !== 'int4' && name !== 'full') throw new Error(`precision is ${JSON.stringify(name)}, allowed: int4, full`);
  return name;
});

const results: { readonly precision: string; readonly sets: readonly SetScores[] }[] = [];
let model = { id: '', digest: '' };
for (const precision of precisions) {
  const product = await Product.open(options.model, precision);
  model = { id: product.card.id, digest: product.card.digest };
  const done: SetScores[] = [];
  for (const set of sets) {
    const started = performance.now();
    done.push(
      await evaluateSet(product, set, undefined, (question, body, one) => {
        if (!options.show) return;
        const { answer, citations, reasoning_content: thought } = body;
        process.stdout.write(`${JSON.stringify({ question, exact: one.isExact, answer, citations, thought })}\n`);
      }),
    );
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    process.stderr.write(`${precision}: ${set.name}, ${seconds} s\n`);
  }
  results.push({ precision, sets: done });
  await product.close();
}

const [first] = results;
const all = (of: readonly SetScores[]) => of.flatMap(({ scores }) => scores);
const report: Report = {
  model,
  sets: (first?.sets ?? []).map(({ name, scores }) => summarize(name, scores)),
  kinds: summarizeBy(all(first?.sets ?? []), ({ kind }) => kind),
  precisions: results.map(({ precision, sets: done }) => summarize(precision, all(done))),
};
const text = [
  renderRows('documents', report.sets),
  renderRows('kind of question', report.kinds),
  renderRows('precision', report.precisions),
].join('\n\n');
process.stdout.write(`${text}\n`);
if (options.out !== undefined) {
  await mkdir(options.out, { recursive: true });
  await writeFile(join(options.out, 'evaluation.json'), `${JSON.stringify(report, null, 1)}\n`);
  const card = join(options.out, 'README.md');
  await writeFile(card, insertEvaluation(await readFile(card, 'utf8'), `${text}\n\n![exact answers](evaluation.svg)`));
  await writeFile(join(options.out, 'evaluation.svg'), plotRows(report.sets));
}
