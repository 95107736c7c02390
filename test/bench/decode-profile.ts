import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { InferenceSession } from 'onnxruntime-node';
import { LatentBuffer, roundRows } from '../../src/engine/kv/latent-buffer.ts';
import { blockRows, type ModelRunner, type StepInput } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { median, printTable, quartiles } from './figures.ts';
import { sumKernels } from './kernel-times.ts';
import { FastRandom } from './peer/fast-random.ts';
import { ensureModelFiles } from './peer/model-files.ts';
import { type ModelName, modelNames, modelShapes } from './peer/shapes.ts';

/**
 * Where the time of a decoded token goes: the runtime's own profile of the graphs, by operator.
 * Run: `node --import tsx test/bench/decode-profile.ts` (`--help`); README.md beside it has the figures.
 */
const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'A' },
    sequences: { type: 'string', default: '1' },
    prefix: { type: 'string', default: '0' },
    own: { type: 'string', default: '40' },
    tokens: { type: 'string', default: '1' },
    runs: { type: 'string', default: '100' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    exact: { type: 'boolean', default: false },
    folder: { type: 'string', default: join(tmpdir(), 'quire-bench-models') },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log(
    'test/bench/decode-profile.ts [--model A|B|tiny] [--sequences 1] [--prefix 0] [--own 40] [--tokens 1] [--runs 100] [--threads N] [--exact] [--folder DIR]',
  );
  process.exit(0);
}
const name = modelNames.find((known) => known === flags.model);
if (name === undefined) throw new RangeError(`--model ${flags.model}, allowed: ${modelNames.join(', ')}`);
const [sequences, runs, threads] = [Number(flags.sequences), Number(flags.runs), Number(flags.threads)];
/** Rows that all sequences share, and rows of each. */
const [prefixRows, ownRows] = [Number(flags.prefix), Number(flags.own)];
/** New ones of each sequence: more than one is a chunk of a prompt. */
const tokens = Number(flags.tokens);
if (prefixRows % blockRows !== 0) throw new RangeError(`--prefix ${prefixRows}, allowed: multiples of ${blockRows}`);
const warmUps = 5;

interface Latents {
  readonly prefix: LatentBuffer;
  readonly own: LatentBuffer;
}

/** Tokens at random, so that experts are chosen anew each time. */
function drawStep(runner: ModelRunner, model: ModelName, random: FastRandom, latents: Latents): StepInput {
  const { vocabulary } = modelShapes[model];
  const suffixRows = roundRows(ownRows + tokens, runner.rowStep);
  return {
    sequences: Array.from({ length: sequences }, () => ({
      tokenIds: Array.from({ length: tokens }, () => (random.next() >>> 0) % vocabulary),
      start: prefixRows + ownRows,
      wanted: 1,
    })),
    prefix: latents.prefix.view(prefixRows),
    prefixRows,
    suffix: latents.own.view(sequences * suffixRows, 0, runner.rowStep),
    suffixRows,
    head: true,
    isPrompt: tokens > 1,
  };
}

interface Timed {
  readonly wallMs: readonly number[];
  readonly busyMs: readonly number[];
}

async function runSteps(runner: ModelRunner, model: ModelName): Promise<Timed> {
  const random = new FastRandom(1);
  const rowsOf = (rows: number): LatentBuffer => {
    const buffer = new LatentBuffer(runner.layers, runner.latentWidth, rows);
    for (const layer of buffer.view(rows)) random.fillUniform(layer, 1);
    return buffer;
  };
  const latents = { prefix: rowsOf(prefixRows), own: rowsOf(sequences * roundRows(ownRows + tokens, runner.rowStep)) };
  const [wallMs, busyMs]: [number[], number[]] = [[], []];
  for (let run = -warmUps; run < runs; run++) {
    const step = drawStep(runner, model, random, latents);
    const [cpu, startMs] = [process.cpuUsage(), performance.now()];
    await runner.run(step);
    if (run < 0) continue;
    wallMs.push(performance.now() - startMs);
    const { user, system } = process.cpuUsage(cpu);
    busyMs.push((user + system) / 1000);
  }
  return { wallMs, busyMs };
}

/** Sessions opened by `open` write a profile each. */
async function profiled(
  open: () => Promise<ModelRunner>,
  folder: string,
): Promise<{ readonly runner: ModelRunner; readonly sessions: readonly InferenceSession[] }> {
  const sessions: InferenceSession[] = [];
  const create = InferenceSession.create.bind(InferenceSession) as (
    path: string,
    options: InferenceSession.SessionOptions,
  ) => Promise<InferenceSession>;
  const patched = async (path: string, options: InferenceSession.SessionOptions) => {
    const profileFilePrefix = join(folder, `profile-${sessions.length}`);
    const session = await create(path, { ...options, enableProfiling: true, profileFilePrefix });
    sessions.push(session);
    return session;
  };
  Object.assign(InferenceSession, { create: patched });
  try {
    return { runner: await open(), sessions };
  } finally {
    Object.assign(InferenceSession, { create });
  }
}

const root = mkdtempSync(join(tmpdir(), 'quire-profile-'));
try {
  const { folder } = await ensureModelFiles(flags.folder, name, (target) => console.log(`writing it to ${target}`));
  const open = () => openOrtRunner(folder, { precision: 'int4', threads, reproducible: flags.exact });
  const plain = await open();
  const { wallMs, busyMs } = await runSteps(plain, name);
  await plain.close();
  const [low, high] = quartiles(wallMs);
  console.log(
    `model ${name}, ${sequences} sequences of ${ownRows} rows behind ${prefixRows}, ${threads} threads, ${flags.exact ? 'exact' : 'fast'} form: ${median(wallMs).toFixed(2)} ms a run (middle half ${low.toFixed(2)} to ${high.toFixed(2)}), ${median(busyMs).toFixed(2)} ms of processor\n`,
  );

  const { runner, sessions } = await profiled(open, root);
  const withProfile = await runSteps(runner, name);
  for (const session of sessions) session.endProfiling();
  await runner.close();
  const texts = readdirSync(root).map((file) => readFileSync(join(root, file), 'utf8'));
  const kernels = sumKernels(texts, warmUps);
  const total = kernels.reduce((sum, { ms }) => sum + ms, 0);
  const count = kernels.reduce((sum, { times }) => sum + times, 0);
  const all = median(withProfile.wallMs);
  console.log(
    `under the profile ${all.toFixed(2)} ms a run: ${count.toFixed(0)} operators, ${total.toFixed(2)} ms in them\n`,
  );
  printTable(
    ['operator', 'times a run', 'ms a run', 'µs each', 'of all in operators'],
    kernels.map(({ title, times, ms }) => [
      title,
      times.toFixed(0),
      ms.toFixed(2),
      ((1000 * ms) / times).toFixed(1),
      `${((100 * ms) / total).toFixed(1)} %`,
    ]),
  );
} finally {
  rmSync(root, { recursive: true, force: true });
}
