import { hostname } from 'node:os';
import { systemClock } from '../../src/base/clock.ts';
import { AppError } from '../../src/base/errors.ts';
import { defaultTenant, newNonce } from '../../src/base/ids.ts';
import type { Logger } from '../../src/base/log.ts';
import {
  type JobLineTask,
  parseLineRequest,
  runUnitJob,
  type UnitJobDeps,
  type UnitLineAnswer,
} from '../../src/batch/index.ts';
import type { Config } from '../../src/config/index.ts';
import { type EngineChannel, EngineClient } from '../../src/engine/index.ts';
import { exitCodes } from '../../src/local/exit-codes.contract.ts';
import { LineRunner, presentLineError } from '../../src/pipeline/index.ts';
import { openUnitConsumer, type UnitJob } from '../../src/queue/index.ts';
import { openS3ObjectStore } from '../../src/storage/index.ts';
import { AloneGate } from './alone-gate.ts';
import { buildDocumentSource } from './document-source.ts';
import { openShared } from './open-shared.ts';
import { addUploads, PageStore } from './page-store.ts';
import { buildDeltaPublisher } from './publish-deltas.ts';
import { reportEngine } from './report-engine.ts';
import { buildProgressReporter, readHeardTokens, WrittenTokens } from './report-progress.ts';
import { ResumeCounts } from './resume-counts.ts';
import type { RunningProcess } from './run-process.ts';
import { watchSpotNotice } from './spot-notice.ts';
import { StopWatch } from './stop-watch.ts';

/** For jobs that end by themselves; what is longer goes on elsewhere from its checkpoint, which costs less than waiting. */
const handoverMs = 500;

/** Lines of a unit handed to the engine at once: as many as one run of the model serves well, and a few to wait. */
const lineConcurrency = 16;

type ProgressReport = ReturnType<typeof buildProgressReporter>;

/**
 * The analysis worker: takes units from the queue and runs their lines on the engine.
 * @param connect starts an engine process, or hands over one that was started already
 */
export async function startAnalysis(
  config: Config,
  log: Logger,
  connect: () => EngineChannel,
): Promise<RunningProcess> {
  let enginePids: Record<string, number> = {};
  const reportPid = (pid: number | null): void => {
    enginePids = pid === null ? {} : { engine: pid };
    process.send?.({ type: 'pids', pids: enginePids });
  };
  const onFailed = (error: AppError): void => {
    log.error({ err: error.message, code: error.code }, 'model cannot be loaded');
    // no line is at fault: they stay in the queue for a worker that has a model
    if (isUp) process.exit(exitCodes[error.family]);
  };
  let isUp = false;
  const pages = config.engine.pageStore
    ? new PageStore({ store: openS3ObjectStore(config.s3), log, nowMs: () => performance.now() })
    : null;
  const engine = new EngineClient({ connect, clock: systemClock, log, pages, onPid: reportPid, onFailed });
  const [card, shared] = await Promise.all([engine.ready(), openShared(config, log)]);
  isUp = true;
  const { store, batches, bus } = shared;
  const stops = new StopWatch(bus);
  // a process that starts anew under the same number is another owner: its claims tell whether the one before it died
  const owner = `${hostname()}/${process.pid}/${newNonce().slice(0, 8)}`;
  const resumes = new ResumeCounts();
  const report = reportEngine(bus, owner, () => resumes.addTo(addUploads(engine.stats(), pages)));
  const written = new WrittenTokens();
  const gate = new AloneGate();
  const runner = new LineRunner({
    generate: written.follow((request, options) => engine.generate(request, options)),
    embed: (request, options) => engine.embed(request, options),
    loadDocument: buildDocumentSource(store, batches, defaultTenant),
    card,
    clock: systemClock,
  });

  const runLine = async (task: JobLineTask, tell: ProgressReport): Promise<UnitLineAnswer> => {
    const { batch, line, seed, signal, journal, beginAlone } = task;
    try {
      const request = parseLineRequest(line.url, line.body, [card.id], {
        // only a caller who waits for this very line can have asked for a stream
        streaming: batch.priority === 'interactive',
        widths: { [card.id]: card.hiddenWidth },
      });
      const priority = batch.priority === 'interactive' ? 0 : 1;
      const run = () =>
        runner.run({
          name: `${batch.id}/${line.index}`,
          tenant: batch.tenant,
          request,
          seed,
          priority,
          deadlineMs: batch.expires_at * 1_000,
          signal,
          onProgress: (progress) => tell(line.custom_id, progress),
          journal,
          openDeltas: buildDeltaPublisher(bus, batch.id),
        });
      const answer =
        beginAlone === null
          ? await gate.beside(run)
          : await gate.alone(async () => {
              await beginAlone();
              return run();
            }, signal);
      resumes.countAnswer(answer.body);
      return answer;
    } catch (error) {
      if (error instanceof AppError && error.family === 'input') return presentLineError(error);
      throw error;
    }
  };

  const runJob = async (job: UnitJob, signal: AbortSignal): Promise<void> => {
    const tell = buildProgressReporter(bus, job, written, () => Date.now());
    const hint = (batchId: string): Promise<void> =>
      shared.queue.addControl({ version: 1, tenant: job.tenant, batchId }).catch((err: unknown) => {
        log.debug({ batchId, err }, 'hint to the janitor is lost');
      });
    const deps: UnitJobDeps = {
      store,
      batches,
      owner,
      lineConcurrency,
      runLine: (task) => runLine(task, tell),
      askCheckpoints: async (ids) => {
        await Promise.all(written.listBegun(ids).map((id) => engine.checkpoint(id)));
      },
      readHeard: ({ batchId }) => readHeardTokens(bus, batchId),
      onCheckpointLost: () => resumes.countLost(),
      onSegment: (batch, unitId) => {
        void bus.publish({ type: 'unit-segment', batchId: batch.id, unitId });
        // who counts must know soon, or a budget is used up and nobody stops
        if (batch.token_budget !== undefined) void hint(batch.id);
      },
      clock: systemClock,
      logger: log,
    };
    const stop = stops.watch(job.batchId);
    try {
      await runUnitJob(deps, job, AbortSignal.any([signal, stop.signal]));
    } finally {
      stop.end();
      await bus.clearProgress(job.batchId, job.unitId);
    }
    await shared.queue.addControl({ version: 1, tenant: job.tenant, batchId: job.batchId });
  };

  const consumer = openUnitConsumer(
    {
      redisUrl: config.redisUrl,
      concurrency: config.analysis.unitConcurrency,
      lockMs: config.analysis.lockMs,
      stalledMs: config.analysis.stalledMs,
      log,
    },
    (job, context) => runJob(job, context.signal),
  );
  const { spotNoticeUrl } = config.analysis;
  const spot =
    spotNoticeUrl === null
      ? null
      : watchSpotNotice({
          url: spotNoticeUrl,
          // it ends this process as everything else does that wants it to end
          onNotice: () => process.kill(process.pid, 'SIGTERM'),
          clock: systemClock,
          log,
        });
  return {
    ready: { pids: enginePids },
    stop: async () => {
      spot?.stop();
      await consumer.stop(handoverMs);
      engine.close();
      pages?.close();
      report.stop();
      await shared.close();
    },
  };
}
