import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median, printTable, spread } from '../figures.ts';
import type { RowResult } from './measure.ts';
import { ensureModelFiles } from './model-files.ts';
import { measureNative } from './native-llama.ts';
import { oneOf } from './one-of.ts';
import { type BenchRow, benchRows, measureOrder, type RowId, rowIds, shortRows } from './rows.ts';
import { runChild } from './run-child.ts';
import { modelNames } from './shapes.ts';

/**
 * quire against native llama.cpp, which shares a prompt among sequences as node-llama-cpp cannot: README.md has how it is
 * built. On the same random weights as `bench:engine -- --peer`.
 */
const { values: flags } = parseArgs({
  options: {
    program: { type: 'string', default: '' },
    model: { type: 'string', multiple: true, default: ['A'] },
    rows: { type: 'string', default: rowIds.join(',') },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    folder: { type: 'string', default: join(tmpdir(), 'quire-bench-models') },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help || flags.program === '') {
  console.log(
    `node --import tsx test/bench/peer/native.ts --program llama-batched-bench [--model A|B|tiny] [--rows ${rowIds.join(',')}] [--threads N] [--folder DIR]`,
  );
  process.exit(flags.help ? 0 : 1);
}
const threads = Number(flags.threads);
/** Of one engine's process. */
const mostMs = 20 * 60_000;
const chosen = flags.rows.split(',').map((id) => oneOf('rows', id, rowIds));
const models = flags.model.map((name) => oneOf('model', name, modelNames));
const asked = measureOrder.filter((id) => chosen.includes(id));

/** @throws RangeError: every id has a row */
function rowOf(id: RowId): BenchRow {
  const row = benchRows.find((one) => one.id === id);
  if (row === undefined) throw new RangeError(`no row ${id}`);
  return row;
}

async function measureQuire(files: { readonly folder: string; readonly gguf: string }) {
  const found = new Map<RowId, RowResult>();
  const engine = { type: 'quire', reproducible: false, precision: 'int4' } as const;
  const limits = { mostRepeats: 4, rowMs: 2_500 };
  const job = { type: 'engine', engine, ...files, threads, rows: asked, limits, isWhole: false } as const;
  const end = await runChild(job, performance.now() + mostMs, (message) => {
    if (message.type === 'row') found.set(message.figures.id, message.figures);
  });
  if (end !== null) throw new Error(`quire's process ended: ${end}`);
  return found;
}

interface NativeRow {
  readonly rates: readonly number[];
  readonly flashAttention: boolean;
}

const measure = (gguf: string, id: RowId, flashAttention: boolean) =>
  measureNative({ program: flags.program, gguf, threads, flashAttention }, rowOf(id));

/** Three times with either setting, in turns. */
async function measureShort(gguf: string, id: RowId): Promise<readonly [flash: NativeRow, plain: NativeRow]> {
  const [flash, plain]: [number[], number[]] = [[], []];
  for (let round = 0; round < 3; round++) {
    plain.push((await measure(gguf, id, false)).rate);
    flash.push((await measure(gguf, id, true)).rate);
  }
  return [
    { rates: flash, flashAttention: true },
    { rates: plain, flashAttention: false },
  ];
}

/** Short rows with both settings of flash attention, the others once, with the one that was faster there. */
async function measureAll(gguf: string): Promise<ReadonlyMap<RowId, NativeRow>> {
  const found = new Map<RowId, NativeRow>();
  let gain = 0;
  for (const id of asked.filter((one) => shortRows.includes(one))) {
    const [flash, plain] = await measureShort(gguf, id);
    const ratio = median(flash.rates) / median(plain.rates);
    found.set(id, ratio >= 1 ? flash : plain);
    gain += Math.log(ratio);
  }
  const flashAttention = gain >= 0;
  for (const id of asked.filter((one) => !shortRows.includes(one))) {
    // a document that the questions have had read is not read again
    if (found.has(id)) continue;
    const { rate, promptRate } = await measure(gguf, id, flashAttention);
    found.set(id, { rates: [rate], flashAttention });
    const readsToo = id === 'questions-16' && asked.includes('prefill-8192');
    if (readsToo) found.set('prefill-8192', { rates: [promptRate], flashAttention });
  }
  return found;
}

for (const model of models) {
  const files = await ensureModelFiles(flags.folder, model);
  const quire = await measureQuire(files);
  const native = await measureAll(files.gguf);
  const rows = asked.flatMap((id): string[][] => {
    const [ours, theirs] = [quire.get(id), native.get(id)];
    if (ours === undefined || 'end' in ours || theirs === undefined) return [];
    const { rates } = theirs;
    const ratio = median(ours.rates) / median(rates);
    const { title, nativeGoal: goal } = rowOf(id);
    const missed = ratio < goal ? ', missed' : '';
    const show = (all: readonly number[]): string =>
      `${median(all).toFixed(1)} (${all.length === 1 ? 'once' : spread(all)})`;
    const setting = theirs.flashAttention ? 'on' : 'off';
    return [[title, show(ours.rates), show(rates), setting, `${ratio.toFixed(2)} ×`, `≥ ${goal} ×${missed}`]];
  });
  console.log(`\nmodel ${model}, ${threads} threads, tokens a second, reproducible off`);
  printTable(['work', 'quire', 'native llama.cpp', 'flash attention', 'ratio', 'goal'], rows);
}
