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
import { median, printTable, quartiles } from './figures.ts';
import { processorSeconds } from './processor-seconds.ts';

/**
 * What checkpoints cost a unit of long answers: the same lines with checkpoints and without, in turn, on the sample
 * model in its own process and the embedded S3 server. Arguments: lines, tokens a line, rounds. The figure that counts
 * is seconds of processor of worker, engine and S3 server together: what else the machine does, and how long the disk
 * takes, change it least. Linux only.
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
/** Of all three processes so far. */
const usedSeconds = (): number =>
  [process.pid, server.pid, ...(enginePid === null ? [] : [enginePid])].reduce(
    (sum, pid) => sum + processorSeconds(pid),
    0,
  );

interface RunFigures {
  readonly tokensPerSecond: number;
  /** Processor of all three for 1,000 tokens. */
  readonly usedMs: number;
  readonly requests: number;
}

try {
  const card = await engine.ready();
  const s3 = { endpoint: `http://127.0.0.1:${server.port}`, region: 'us-east-1', bucket: testBucket };
  const store = new CountingObjectStore(openS3ObjectStore({ ...s3, ...testCredentials }));

  const run = async (batchId: string, hasCheckpoints: boolean): Promise<RunFigures> => {
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
    const startMs = performance.now();
    const startSeconds = usedSeconds();
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
    const usedMs = ((usedSeconds() - startSeconds) * 1_000 * 1_000) / produced;
    return { tokensPerSecond: produced / seconds, usedMs, requests: store.counts.calls };
  };

  await run('batch_warm', true);
  const rows: string[][] = [];
  const [usedCosts, speedCosts]: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    // whoever is second has no advantage over the rounds
    const order = round % 2 === 0 ? [true, false] : [false, true];
    const found = new Map<boolean, RunFigures>();
    for (const hasCheckpoints of order) {
      found.set(hasCheckpoints, await run(`batch_${round}_${hasCheckpoints ? 'with' : 'without'}`, hasCheckpoints));
    }
    const [on, off] = [found.get(true), found.get(false)];
    if (on === undefined || off === undefined) throw new Error('a round has two runs');
    usedCosts.push((on.usedMs / off.usedMs - 1) * 100);
    speedCosts.push((1 - on.tokensPerSecond / off.tokensPerSecond) * 100);
    rows.push([
      String(round + 1),
      off.usedMs.toFixed(0),
      on.usedMs.toFixed(0),
      `${usedCosts.at(-1)?.toFixed(1)} %`,
      off.tokensPerSecond.toFixed(0),
      on.tokensPerSecond.toFixed(0),
      `${speedCosts.at(-1)?.toFixed(1)} %`,
      String(on.requests - off.requests),
    ]);
  }
  const describe = (costs: readonly number[]): string => {
    const [low, high] = quartiles(costs);
    return `median ${median(costs).toFixed(1)} %, middle half ${low.toFixed(1)} to ${high.toFixed(1)} %`;
  };
  console.log(`${lineTotal} lines of ${tokens} tokens, ${rounds} rounds`);
  console.log(`cost in processor: ${describe(usedCosts)}`);
  console.log(`cost in tokens/s: ${describe(speedCosts)}\n`);
  printTable(
    [
      'round',
      'ms of processor per 1,000 tokens without',
      'with',
      'cost',
      'tokens/s without',
      'with',
      'cost',
      'more object requests',
    ],
    rows,
  );
} finally {
  engine.close();
  await server.close();
  await rm(folder, { recursive: true, force: true });
}
