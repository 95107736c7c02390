import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeModel } from '../../src/engine/index.ts';
import { readGeneratedSets } from '../eval/evaluation-set.ts';
import { readEvaluation } from './evaluation.ts';
import { recordSample } from './record-sample.ts';
import { type CardConfig, renderCard, type Training } from './render-card.ts';
import { bundledModelDir, chooseSample, sampleFile } from './sample.ts';

/**
 * `npm run model:card`: what an exported model needs beside its weights to be the bundled one: `sample.json`, the answers
 * that `npm test` compares with, and `README.md`. Run it when the weights change, and when prompts or formats do.
 */
const { values: options } = parseArgs({ options: { model: { type: 'string', default: bundledModelDir } } });
const folder = options.model;

const { sample, digest } = await recordSample(folder, chooseSample(await readGeneratedSets()));
await writeFile(join(folder, sampleFile), `${JSON.stringify(sample, null, 1)}\n`);

const readJson = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(folder, name), 'utf8'));
const card = renderCard({
  config: (await readJson('config.json')) as CardConfig,
  training: (await readJson('training.json')) as Training,
  card: await describeModel(folder),
  sample,
  weightBytes: (await stat(join(folder, 'model.safetensors'))).size,
  evaluation: await readEvaluation(folder, digest),
});
await writeFile(join(folder, 'README.md'), card);
const total = sample.documents.flatMap(({ questions }) => questions).length;
process.stdout.write(`${folder}: ${sample.exact} of ${total} exact in both precisions, ${sample.cited} with a quote\n`);
