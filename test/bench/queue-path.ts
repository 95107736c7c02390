import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { systemClock } from '../../src/base/clock.ts';
import { defaultTenant } from '../../src/base/ids.ts';
import { silentLogger } from '../../src/base/log.ts';
import { BatchStore, Janitor, parseLineRequest, runUnitJob, type UnitJobDeps } from '../../src/batch/index.ts';
import { LineRunner } from '../../src/pipeline/index.ts';
import { openEventBus, openUnitConsumer, openWorkQueue } from '../../src/queue/index.ts';
import { openS3ObjectStore } from '../../src/storage/index.ts';
import { ObjectServer } from '../chaos/harness/object-server.ts';
import { modelCard } from '../support/build-api.ts';
import { CountingObjectStore } from '../support/counting-object-store.ts';
import { testBucket, testCredentials } from '../support/embedded-store.ts';
import { generateResult } from '../support/generate-result.ts';
import { openPrivateRedis } from '../support/private-redis.ts';
import { printTable } from './figures.ts';

/**
 * What everything around the engine costs: lines of a batch from the queue to their sealed units, with an engine that
 * answers at once, against as many empty jobs through a bare BullMQ worker on the same Redis. Arguments: lines, rounds.
 */
const lineTotal = Number(process.argv[2] ?? 10_000);
const rounds = Number(process.argv[3] ?? 3);
const log = silentLogger;
const clock = systemClock;

async function* input(): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < lineTotal; index++) {
    const messages = [{ role: 'user', content: `Is clause ${index} about deliveries?` }];
    const body = { model: modelCard.id, messages, max_completion_tokens: 16 };
    yield Buffer.from(
      `${JSON.stringify({ custom_id: `line-${index}`, method: 'POST', url: '/v1/chat/completions', body })}\n`,
    );
  }
}

/** Lines a second: as many jobs as lines, and a worker that does nothing, as many at a time as suits it best. */
async function runBare(redisUrl: string, round: number): Promise<number> {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const name = `bare-${round}`;
  const queue = new Queue(name, { connection });
  for (let start = 0; start < lineTotal; start += 1_000) {
    const jobs = Array.from({ length: Math.min(1_000, lineTotal - start) }, (_, index) => ({
      name: 'line',
      data: { index: start + index },
      opts: { removeOnComplete: true },
    }));
    await queue.addBulk(jobs);
  }
  const startMs = performance.now();
  let done = 0;
  await new Promise<void>((resolve) => {
    const worker = new Worker(name, async () => {}, { connection, concurrency: 64 });
    worker.on('completed', () => {
      done += 1;
      if (done === lineTotal) void worker.close().then(resolve);
    });
  });
  const seconds = (performance.now() - startMs) / 1_000;
  await queue.close();
  connection.disconnect();
  return lineTotal / seconds;
}

interface PathFigures {
  readonly linesPerSecond: number;
  /** Of the worker alone. */
  readonly workerRequests: number;
  /** Of api, janitor and worker, from the upload to the result files. */
  readonly allRequests: number;
  readonly wholeSeconds: number;
}

async function runPath(redisUrl: string, store: CountingObjectStore): Promise<PathFigures> {
  const beginMs = performance.now();
  store.reset();
  const queue = openWorkQueue({ redisUrl, log });
  const bus = openEventBus({ redisUrl, log });
  const batches = new BatchStore({ store, clock });
  const limits = { maxLines: lineTotal, maxLineBytes: 1 << 20 };
  const janitor = new Janitor({ store, batches, queue, bus, clock, log, limits });
  const file = await batches.saveFile(defaultTenant, input(), { filename: 'input.jsonl', purpose: 'batch' });
  const { id } = await batches.createBatch({
    tenant: defaultTenant,
    inputFileId: file.id,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterSeconds: null,
    priority: 'batch',
  });
  await janitor.handle(defaultTenant, id);
  const unitTotal = (await queue.counts()).waiting;
  const before = store.counts.calls;
  const runner = new LineRunner({
    generate: async (request, options) => {
      const result = generateResult({ content: `answer to ${request.id}` });
      options?.onProgress?.({ phase: 'answer', promptTokens: 900, prefilledTokens: 900, completionTokens: 40 });
      return result;
    },
    embed: async () => {
      throw new Error('no line embeds');
    },
    loadDocument: async () => {
      throw new Error('no line has a document');
    },
    card: modelCard,
    clock,
  });
  const deps: UnitJobDeps = {
    store,
    batches,
    owner: 'bench',
    lineConcurrency: 16,
    runLine: ({ batch, line, seed, signal, journal }) =>
      runner.run({
        name: `${batch.id}/${line.index}`,
        tenant: batch.tenant,
        request: parseLineRequest(line.url, line.body, [modelCard.id], { streaming: false, widths: {} }),
        seed,
        priority: 1,
        deadlineMs: batch.expires_at * 1_000,
        signal,
        onProgress: () => {},
        openDeltas: () => () => {},
        journal,
      }),
    askCheckpoints: async () => {},
    readHeard: async () => new Map(),
    onCheckpointLost: () => {},
    onSegment: (batch, unitId) => void bus.publish({ type: 'unit-segment', batchId: batch.id, unitId }),
    clock,
    logger: log,
  };
  const startMs = performance.now();
  let ended = 0;
  await new Promise<void>((resolve) => {
    const consumer = openUnitConsumer({ redisUrl, log, concurrency: 4 }, async (job, { signal }) => {
      await runUnitJob(deps, job, signal);
      ended += 1;
      if (ended === unitTotal) setImmediate(() => void consumer.stop(5_000).then(resolve));
    });
  });
  const seconds = (performance.now() - startMs) / 1_000;
  const workerRequests = store.counts.calls - before;
  await janitor.handle(defaultTenant, id);
  const { status, request_counts: counts } = await batches.getBatch(defaultTenant, id);
  if (status !== 'completed' || counts.completed !== lineTotal) {
    throw new Error(`the batch is ${status} with ${counts.completed} of ${lineTotal} lines`);
  }
  await Promise.all([queue.close(), bus.close()]);
  return {
    linesPerSecond: lineTotal / seconds,
    workerRequests,
    allRequests: store.counts.calls,
    wholeSeconds: (performance.now() - beginMs) / 1_000,
  };
}

const [redis, server] = await Promise.all([openPrivateRedis(), ObjectServer.start()]);
try {
  const endpoint = `http://127.0.0.1:${server.port}`;
  const s3 = { endpoint, region: 'us-east-1', bucket: testBucket, ...testCredentials };
  const store = new CountingObjectStore(openS3ObjectStore(s3));
  const rows: string[][] = [];
  for (let round = 0; round < rounds; round++) {
    const bare = await runBare(redis.url, round);
    const path = await runPath(redis.url, store);
    rows.push([
      String(round + 1),
      bare.toFixed(0),
      path.linesPerSecond.toFixed(0),
      `${((path.linesPerSecond / bare) * 100).toFixed(0)} %`,
      (path.workerRequests / lineTotal).toFixed(3),
      (path.allRequests / lineTotal).toFixed(3),
      path.wholeSeconds.toFixed(1),
    ]);
  }
  console.log(`${lineTotal} short lines, 16 at a time in 4 units at a time`);
  printTable(
    ['round', 'bare jobs/s', 'lines/s', 'of bare', 'requests/line, worker', 'requests/line, all', 'whole, s'],
    rows,
  );
} finally {
  await Promise.all([redis.close(), server.close()]);
}
