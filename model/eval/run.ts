import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { insertEvaluation } from './card.ts';
import { readDemoSet, readGeneratedSets } from './evaluation-set.ts';
import { parseOptions } from './options.ts';
import { plotRows } from './plot.ts';
import { Product } from './product.ts';
import { buildReport, type Report, renderReport } from './report.ts';
import { chooseSets, thinOut } from './select.ts';
import { Session } from './session.ts';

/** `npm run eval`: the model's answers to questions it was not trained on, through the product. See ../README.md. */
const options = parseOptions(process.argv.slice(2));
const known = [...(await readGeneratedSets(options.questions)), await readDemoSet()];
const sets = chooseSets(known, options.sets).map((set) => thinOut(set, options.limit));
// before an hour is spent on answers that find no place
if (options.out !== null) insertEvaluation(await readFile(join(options.out, 'README.md'), 'utf8'), '');

const session = new Session(
  options,
  sets,
  (precision, product) => Product.open(options.model, precision, product),
  (line) => process.stderr.write(`${line}\n`),
  ({ question, reply, score }) => {
    if (!options.show) return;
    const { answer, citations, reasoning_content: thought } = reply.body;
    const shown = {
      question: question.question,
      exact: score.isExact,
      answer,
      wanted: question.answer,
      citations,
      thought,
    };
    process.stdout.write(`${JSON.stringify(shown)}\n`);
  },
);
const [processor] = cpus();
const machine = `${options.threads} threads of ${processor?.model.trim() ?? 'an unknown processor'}`;
const report = buildReport(await session.run(), options.precision, machine);
process.stdout.write(`${renderReport(report)}\n`);
if (options.out !== null) await writeReport(options.out, report);
if (report.cache !== null && report.cache.identical < report.cache.questions) {
  process.stderr.write(
    'answers behind cached pages differ from those without, or were not read as meant: see the table\n',
  );
  process.exitCode = 1;
}

/** `evaluation.json`, the figure, and the tables between the marks of the folder's README. */
async function writeReport(folder: string, written: Report): Promise<void> {
  const card = join(folder, 'README.md');
  const text = `${renderReport(written)}\n\n![exact answers](evaluation.svg)`;
  const plot = plotRows([
    { title: 'documents and questions', rows: written.sets },
    { title: 'kinds of questions', rows: written.kinds },
  ]);
  await writeFile(join(folder, 'evaluation.json'), `${JSON.stringify(written, null, 1)}\n`);
  await writeFile(join(folder, 'evaluation.svg'), plot);
  await writeFile(card, insertEvaluation(await readFile(card, 'utf8'), text));
}
