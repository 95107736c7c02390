import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { LatentBuffer } from '../../src/engine/kv/latent-buffer.ts';
import { blockRows, type ModelRunner, type StepInput } from '../../src/engine/ports.ts';
import { openOrtRunner } from '../../src/engine/runtime/ort-runner.ts';
import { printTable, quartiles } from './figures.ts';
import { FastRandom } from './peer/fast-random.ts';
import { modelShapes } from './peer/shapes.ts';
import { writeShapeCheckpoint } from './peer/write-checkpoint.ts';

/**
 * What experts cost that a token is not sent to: models of one shape with more and more experts, of which a token uses
 * equally many. Run: `node --import tsx test/bench/expert-total.ts` (`--help`); README.md beside it has the figures.
 */
const { values: flags } = parseArgs({
  options: {
    experts: { type: 'string', default: '16,64,256' },
    layers: { type: 'string', default: '4' },
    rounds: { type: 'string', default: '40' },
    threads: { type: 'string', default: String(Math.min(availableParallelism(), 3)) },
    exact: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (flags.help) {
  console.log('test/bench/expert-total.ts [--experts 16,64,256] [--layers 4] [--rounds 40] [--threads N] [--exact]');
  process.exit(0);
}

/** Model A with a small vocabulary, so that the head hides little; its first layer has no experts. */
const shapeOf = (experts: number) => ({ ...modelShapes.A, layers: Number(flags.layers), vocabulary: 4096, experts });

interface Subject {
  readonly experts: number;
  readonly runner: ModelRunner;
  readonly loadMs: number;
  readonly random: FastRandom;
  readonly latents: LatentBuffer;
  /** Milliseconds of each run: passed, and of processor time. */
  readonly times: Map<number, { readonly wall: number[]; readonly busy: number[] }>;
}

async function openSubject(models: string, experts: number): Promise<Subject> {
  const folder = join(models, String(experts));
  await writeShapeCheckpoint(folder, shapeOf(experts));
  const startMs = performance.now();
  const runner = await openOrtRunner(folder, {
    precision: 'int4',
    threads: Number(flags.threads),
    reproducible: flags.exact,
  });
  const loadMs = performance.now() - startMs;
  rmSync(folder, { recursive: true });
  const latents = new LatentBuffer(runner.layers, runner.latentWidth);
  return { experts, runner, loadMs, random: new FastRandom(experts), latents, times: new Map() };
}

/** Tokens at random, so that experts are chosen anew each time. */
function drawStep({ runner, random, latents }: Subject, rows: number): StepInput {
  latents.reserve(blockRows);
  return {
    sequences: [
      {
        tokenIds: Array.from({ length: rows }, () => (random.next() >>> 0) % 4096),
        start: 0,
        wanted: rows === 1 ? 1 : 0,
      },
    ],
    prefix: latents.view(0),
    prefixRows: 0,
    suffix: latents.view(blockRows, 0, runner.rowStep),
    suffixRows: blockRows,
    head: rows === 1,
  };
}

async function measure(subject: Subject, rows: number, runs: number): Promise<void> {
  const times = subject.times.get(rows) ?? { wall: [], busy: [] };
  subject.times.set(rows, times);
  for (let run = 0; run < runs; run++) {
    const step = drawStep(subject, rows);
    const [cpu, startMs] = [process.cpuUsage(), performance.now()];
    await subject.runner.run(step);
    times.wall.push(performance.now() - startMs);
    const { user, system } = process.cpuUsage(cpu);
    times.busy.push((user + system) / 1000);
  }
}

/** Rows of a run and how many of them in a row: a decoded token, a chunk of a prompt. */
const steps = [
  { rows: 1, runs: 16 },
  { rows: 256, runs: 1 },
] as const;

const root = mkdtempSync(join(tmpdir(), 'quire-experts-'));
try {
  const subjects: Subject[] = [];
  for (const experts of flags.experts.split(',').map(Number)) subjects.push(await openSubject(root, experts));
  for (const subject of subjects) for (const { rows } of steps) await measure(subject, rows, 1);
  for (const { times } of subjects) times.clear();
  // in turns: a slow minute of the machine meets all of them
  for (let round = 0; round < Number(flags.rounds); round++) {
    for (const { rows, runs } of steps) for (const subject of subjects) await measure(subject, rows, runs);
  }
  const [first] = subjects;
  const cells = (subject: Subject, rows: number): string[] =>
    (['wall', 'busy'] as const).map((kind) => {
      // lower quartiles: what other programs do to a run only ever makes it longer
      const [own] = quartiles(subject.times.get(rows)?.[kind] ?? []);
      const [base] = quartiles(first?.times.get(rows)?.[kind] ?? []);
      return `${own.toFixed(2)} (${(own / base).toFixed(2)} ×)`;
    });
  printTable(
    ['experts', 'loaded in', 'one row, ms', 'of processor', '256 rows, ms', 'of processor'],
    subjects.map((subject) => [
      String(subject.experts),
      `${(subject.loadMs / 1000).toFixed(1)} s`,
      ...cells(subject, 1),
      ...cells(subject, 256),
    ]),
  );
  for (const { runner } of subjects) await runner.close();
} finally {
  rmSync(root, { recursive: true, force: true });
}
