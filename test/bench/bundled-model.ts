import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { bundledModelDir } from '../../model/bundle/sample.ts';
import { openEngineHost } from '../../src/engine/host.ts';
import { openTokenizer } from '../../src/engine/tokenizer/tokenizer.ts';
import { chatMessage, generateRequest } from '../support/test-engine.ts';
import { median, printTable, spread } from './figures.ts';

/**
 * How fast the bundled model reads and writes, one request at a time: `node --import tsx test/bench/bundled-model.ts`.
 * README.md beside it has figures.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: bundledModelDir },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 2)) },
    repeat: { type: 'string', default: '7' },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log('node --import tsx test/bench/bundled-model.ts [--model DIR] [--threads 2] [--repeat 7]');
  process.exit(0);
}
const threads = Number(flags.threads);
const tokenizer = await openTokenizer(flags.model);
const promptTokens = [512, 2_048];
const answerTokens = 128;

/** A document of so many tokens that no other call has: nothing of it is cached. */
function writeDocument(tokens: number, round: number): string {
  const lines = Array.from({ length: tokens }, (_, line) => `The fee of lot ${line * 7 + round} is GBP ${line * 31}.`);
  return tokenizer.decode(tokenizer.encodePlain(lines.join(' ')).slice(0, tokens));
}

async function measure(reproducible: boolean): Promise<readonly (readonly string[])[]> {
  const host = await openEngineHost({
    modelDir: flags.model,
    threads,
    reproducible,
    precision: 'int4',
    pageMemoryBytes: 2 ** 30,
    pageDisk: null,
    maxSequences: 4,
    prefillTokens: 256,
    draftTokens: 0,
  });
  const silent = { onProgress: () => {}, onDelta: () => {}, onCheckpoint: () => {} };
  const ask = async (tokens: number, round: number, maxTokens: number) =>
    host.engine.generate(
      generateRequest(`${tokens}-${round}`, {
        tenant: `${tokens}-${round}`,
        messages: [chatMessage('user', writeDocument(tokens, round)), chatMessage('user', 'Which fee is highest?')],
        maxTokens,
        sampling: { ...generateRequest('').sampling, logitBias: [[tokenizer.specialId('<|im_end|>'), -100]] },
      }),
      silent,
    );
  const form = reproducible ? 'exact' : 'fast';
  const rows: string[][] = [];
  const repeats = Array.from({ length: Number(flags.repeat) }, (_, round) => round + 1);
  await ask(512, 0, answerTokens);
  for (const tokens of promptTokens) {
    const rates: number[] = [];
    for (const round of repeats) {
      const result = await ask(tokens, round, 3);
      rates.push((result.promptTokens * 1_000) / result.prefillMs);
    }
    rows.push([form, `prefill of ${tokens} tokens`, median(rates).toFixed(0), spread(rates)]);
  }
  const rates: number[] = [];
  for (const round of repeats) {
    const result = await ask(512, 100 + round, answerTokens);
    rates.push((result.completionTokens * 1_000) / result.decodeMs);
  }
  rows.push([form, `decode of ${answerTokens} tokens behind 512`, median(rates).toFixed(0), spread(rates)]);
  await host.close();
  return rows;
}

console.log(`${flags.model.split('/').at(-1)}, int4, ${threads} threads of ${cpus()[0]?.model ?? 'an unknown CPU'}\n`);
printTable(['form', 'work', 'tokens/s', 'lowest – highest'], [...(await measure(true)), ...(await measure(false))]);
