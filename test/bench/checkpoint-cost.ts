import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/base/clock.ts';
import { silentLogger } from '../../src/base/log.ts';
import { CheckpointStore, openUnitLog, parseLineRequest, runUnit } from '../../src/batch/index.ts';
import type { Line } from '../../src/batch/records.schema.ts';
import { EngineClient } from '../../src/engine/index.ts';
import { LineRunner } from '../../src/pipeline/index.ts';
import { openS3ObjectStore } from '../../src/storage/index.ts';
import { forkEngine } from '../../workers/compose/fork-engine.ts';
import { WrittenTokens } from '../../workers/compose/report-progress.ts';
import { ObjectServer } from '../chaos/harness/object-server.ts';
import { CountingObjectStore } from '../support/counting-object-store.ts';
import { testBucket, testCredentials } from '../support/embedded-store.ts';
import { testModelDir } from '../support/test-model.ts';
import { median, printTable, quartiles } from './figures.ts';
import { processorSeconds } from './processor-seconds.ts';

/**
 * What checkpoints cost a unit of long answers: the same lines with checkpoints and without, in turn, on the sample
 * model in its own process and the embedded S3 server. Arguments: lines, tokens a line, rounds.
 *
 * The model's runs take most of the processor, are as many in both, and vary with the machine by more than what is looked
 * for. So they are the measure: *outside* is the processor of worker and S3 server and the engine's time outside of its
 * runs, and the cost is what all of it grows by for the same time of runs. Linux only.
 */
const lineTotal = Number(process.argv[2] ?? 16);
const tokens = Number(process.argv[3] ?? 256);
const rounds = Number(process.argv[4] ?? 12);
const tenant = 'default';

const lines: readonly Line[] = Array.from({ length: lineTotal }, (_, index) => ({
  index,
  custom_id: `line-${index}`,
  url: '/v1/chat/completions',
  body: {
    model: 'quire-nano',
    messages: [{ role: 'user', content: `What does clause ${index} of the agreement say about deliveries?` }],
    max_completion_tokens: tokens,
    // thinking ends by its budget, so that every answer has all of its tokens
    thinking_budget: tokens,
    seed: index,
  },
}));

const folder = await mkdtemp(join(tmpdir(), 'quire-bench-'));
process.env['QUIRE_DATA_DIR'] = folder;
process.env['QUIRE_MODEL_DIR'] = testModelDir;
const server = await ObjectServer.start();
let enginePid: number | null = null;
const engine = new EngineClient({
  connect: () => forkEngine(),
  clock: systemClock,
  log: silentLogger,
  onPid: (pid) => {
    enginePid = pid;
  },
});
/** The engine tells its figures once a second. */
const statsMs = 1_200;

interface Used {
  readonly requests: number;
  readonly tokens: number;
  readonly seconds: number;
  /** Times the model ran. */
  readonly runs: number;
  /** Seconds of processor of worker, S3 server and engine. */
  readonly whole: number;
  /** The same without the model's runs. */
  readonly outside: number;
}

/** A machine that is slower for a while is so inside and outside of the runs. */
const wholeByRuns = ({ whole, outside }: Used): number => whole / (whole - outside);

/** So far. */
function readUsed(): Pick<Used, 'runs' | 'whole' | 'outside'> {
  if (enginePid === null) throw new Error('the engine is gone');
  // before its first work it says nothing
  const { overheadMs, runs } = engine.stats() ?? { overheadMs: 0, runs: 0 };
  const { user, system } = process.cpuUsage();
  const around = (user + system) / 1_000_000 + processorSeconds(server.pid);
  return { runs, whole: around + processorSeconds(enginePid), outside: around + overheadMs / 1_000 };
}

try {
  const card = await engine.ready();
  const s3 = { endpoint: `http://127.0.0.1:${server.port}`, region: 'us-east-1', bucket: testBucket };
  const store = new CountingObjectStore(openS3ObjectStore({ ...s3, ...testCredentials }));

  const run = async (batchId: string, hasCheckpoints: boolean): Promise<Used> => {
    const written = new WrittenTokens();
    let produced = 0;
    const runner = new LineRunner({
      generate: written.follow(async (request, options) => {
        const checkpointEvery = hasCheckpoints ? request.checkpointEvery : null;
        const result = await engine.generate({ ...request, checkpointEvery }, options);
        produced += result.completionTokens;
        return result;
      }),
      embed: (request, options) => engine.embed(request, options),
      loadDocument: async () => {
        throw new Error('no line has a document');
      },
      card,
      clock: systemClock,
    });
    store.reset();
    const before = readUsed();
    const startMs = performance.now();
    await runUnit(
      {
        log: openUnitLog(store, tenant, batchId, 'u000000'),
        checkpoints: new CheckpointStore(store, tenant, batchId, 'u000000'),
        lines,
        unit: { id: 'u000000', shared_prefix: null, lines: lines.map(({ index }) => ({ index, seed: index })) },
        owner: 'bench',
        batchId,
        lineConcurrency: 16,
        runLine: ({ line, seed, signal, journal }) =>
          runner.run({
            name: `${batchId}/${line.index}`,
            tenant,
            request: parseLineRequest(line.url, line.body, [card.id], { streaming: false, widths: {} }),
            seed,
            priority: 1,
            deadlineMs: Date.now() + 86_400_000,
            signal,
            onProgress: () => {},
            openDeltas: null,
            journal,
          }),
        askCheckpoints: async (ids) => {
          await Promise.all(written.listBegun(ids).map((id) => engine.checkpoint(id)));
        },
        readHeard: async () => new Map(),
        onCheckpointLost: () => {},
        onSegment: () => {},
        clock: systemClock,
        logger: silentLogger,
      },
      new AbortController().signal,
    );
    const seconds = (performance.now() - startMs) / 1_000;
    await systemClock.sleep(statsMs);
    const after = readUsed();
    return {
      requests: store.counts.calls,
      tokens: produced,
      seconds,
      runs: after.runs - before.runs,
      whole: after.whole - before.whole,
      outside: after.outside - before.outside,
    };
  };

  await run('batch_warm', true);
  const rows: string[][] = [];
  const costs: number[] = [];
  const wholeCosts: number[] = [];
  const speedCosts: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // whoever is second has no advantage over the rounds
    const order = round % 2 === 0 ? [true, false] : [false, true];
    const found = new Map<boolean, Used>();
    for (const hasCheckpoints of order) {
      found.set(hasCheckpoints, await run(`batch_${round}_${hasCheckpoints ? 'with' : 'without'}`, hasCheckpoints));
    }
    const [on, off] = [found.get(true), found.get(false)];
    if (on === undefined || off === undefined) throw new Error('a round has two runs');
    const cost = (wholeByRuns(on) / wholeByRuns(off) - 1) * 100;
    costs.push(cost);
    wholeCosts.push((on.whole / off.whole - 1) * 100);
    speedCosts.push((1 - on.tokens / on.seconds / (off.tokens / off.seconds)) * 100);
    rows.push([
      String(round + 1),
      ...[off, on].map(({ outside }) => outside.toFixed(2)),
      `${cost.toFixed(1)} %`,
      ...[off, on].map(({ whole }) => whole.toFixed(2)),
      ...[off, on].map(({ tokens: written, seconds }) => (written / seconds).toFixed(0)),
      ...[off, on].map(({ runs }) => String(runs)),
      String(on.requests - off.requests),
    ]);
  }
  const describe = (values: readonly number[]): string => {
    const [low, high] = quartiles(values);
    return `median ${median(values).toFixed(1)} %, middle half ${low.toFixed(1)} to ${high.toFixed(1)} %`;
  };
  console.log(`${lineTotal} lines of ${tokens} tokens, ${rounds} rounds; without → with checkpoints`);
  console.log(`cost for the same time of runs: ${describe(costs)}`);
  console.log(`processor with the runs: ${describe(wholeCosts)}`);
  console.log(`tokens a second: ${describe(speedCosts)}\n`);
  const pair = (what: string): readonly string[] => [`${what} without`, 'with'];
  printTable(
    [
      'round',
      ...pair('outside of runs, s'),
      'cost',
      ...pair('whole, s'),
      ...pair('tokens/s'),
      ...pair('runs'),
      'more object requests',
    ],
    rows,
  );
} finally {
  engine.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
}
