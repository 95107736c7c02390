/** `npm run chaos`: runs scenarios one after the other, prints a row each, and holds the results against the ratchet. */
import { parseArgs } from 'node:util';
import { SeededRandom } from '../support/seeded-random.ts';
import { judgeByRatchet, loadRatchet, promote } from './harness/ratchet.ts';
import type { Outcome } from './harness/scenario.ts';
import { formatRow, tableHead } from './harness/table.ts';
import { scenarios } from './scenarios/index.ts';

const usage = `npm run chaos -- [--only <name>[,<name>]] [--kills <n>] [--lines <n>] [--minutes <n>] [--seed <n>] [--promote] [--list]
  --minutes: no more kills after so long (random_kills)
  without --only: every scenario but random_kills, which takes long and has to be named
  --promote: a scenario written down as broken that passes is written down as fixed`;

/** Takes its time: `npm run chaos -- --only random_kills`. */
const onlyByName = ['random_kills'];

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    kills: { type: 'string' },
    lines: { type: 'string' },
    minutes: { type: 'string' },
    seed: { type: 'string' },
    promote: { type: 'boolean' },
    list: { type: 'boolean' },
    help: { type: 'boolean' },
  },
});

function readCount(name: 'kills' | 'lines' | 'minutes' | 'seed'): number | null {
  const text = values[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`--${name} must be an integer from 0, not ${JSON.stringify(text)}`);
  process.exit(2);
}

function choose(): typeof scenarios {
  if (values.only === undefined) return scenarios.filter(({ name }) => !onlyByName.includes(name));
  const wanted = values.only.split(',');
  const unknown = wanted.filter((name) => scenarios.every((scenario) => scenario.name !== name));
  if (unknown.length === 0) return scenarios.filter(({ name }) => wanted.includes(name));
  console.error(`no scenario ${unknown.join(', ')}; there are ${scenarios.map(({ name }) => name).join(', ')}`);
  return process.exit(2);
}

const failed = (error: unknown): Outcome => ({
  ...{ kills: 0, producingKills: 0, lines: 0, lost: 0, doubled: 0, wastedTokens: 0, recoverySeconds: null },
  problems: [error instanceof Error ? error.message : String(error)],
});

if (values.help === true) {
  console.log(usage);
  process.exit(0);
}
if (values.list === true) {
  for (const { name, about } of scenarios) console.log(`${name.padEnd(28)} ${about}`);
  process.exit(0);
}

const seed = readCount('seed') ?? 1;
const [kills, lines, minutes] = [readCount('kills'), readCount('lines'), readCount('minutes')];
const ratchet = loadRatchet();
const verdicts: string[] = [];
console.log(`seed ${seed}\n${tableHead}`);
for (const scenario of choose()) {
  const startMs = Date.now();
  const outcome = await scenario.run({ lines, kills, minutes, random: new SeededRandom(seed) }).catch(failed);
  console.log(formatRow(scenario.name, outcome, (Date.now() - startMs) / 1000));
  for (const problem of outcome.problems) console.log(`    ${problem}`);
  const hasPassed = outcome.problems.length === 0;
  if (hasPassed && values.promote === true) {
    promote(scenario.name);
    continue;
  }
  const verdict = judgeByRatchet(ratchet, scenario.name, hasPassed);
  if (verdict !== null) verdicts.push(verdict);
}
for (const verdict of verdicts) console.error(verdict);
process.exit(verdicts.length === 0 ? 0 : 1);
