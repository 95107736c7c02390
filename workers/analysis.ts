import { hostname } from 'node:os';
import { systemClock } from '../src/base/clock.ts';
import { AppError } from '../src/base/errors.ts';
import { defaultTenant } from '../src/base/ids.ts';
import { lifecycle } from '../src/base/lifecycle.contract.ts';
import type { Logger } from '../src/base/log.ts';
import { type JobLineTask, parseLineRequest, runUnitJob, type UnitLineAnswer } from '../src/batch/index.ts';
import type { Config } from '../src/config/index.ts';
import { EngineClient } from '../src/engine/index.ts';
import { exitCodes } from '../src/local/exit-codes.contract.ts';
import { LineRunner, presentLineError } from '../src/pipeline/index.ts';
import { openUnitConsumer, type UnitJob } from '../src/queue/index.ts';
import { CancelWatch } from './compose/cancel-watch.ts';
import { buildDocumentSource } from './compose/document-source.ts';
import { forkEngine } from './compose/fork-engine.ts';
import { openShared } from './compose/open-shared.ts';
import { buildDeltaPublisher } from './compose/publish-deltas.ts';
import { reportEngine } from './compose/report-engine.ts';
import { buildProgressReporter } from './compose/report-progress.ts';
import { type RunningProcess, runProcess } from './compose/run-process.ts';

/** Lines of a unit handed to the engine at once: as many as one run of the model serves well, and a few to wait. */
const lineConcurrency = 16;

async function start(config: Config, log: Logger): Promise<RunningProcess> {
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
  const engine = new EngineClient({ connect: forkEngine, clock: systemClock, log, onPid: reportPid, onFailed });
  const card = await engine.ready();
  isUp = true;
  const shared = await openShared(config, log);
  const { store, batches, bus } = shared;
  const cancels = new CancelWatch(bus);
  const owner = `${hostname()}/${process.pid}`;
  const report = reportEngine(bus, owner, () => engine.stats());
  const runner = new LineRunner({
    generate: (request, options) => engine.generate(request, options),
    embed: (request, options) => engine.embed(request, options),
    loadDocument: buildDocumentSource(store, batches, defaultTenant),
    card,
    clock: systemClock,
  });

  const runLine = async (task: JobLineTask): Promise<UnitLineAnswer> => {
    const { batch, unitId, line, seed, signal } = task;
    const customId = line.custom_id;
    try {
      const request = parseLineRequest(line.url, line.body, [card.id], {
        // only a caller who waits for this very line can have asked for a stream
        streaming: batch.priority === 'interactive',
        widths: { [card.id]: card.hiddenWidth },
      });
      const onProgress = buildProgressReporter(bus, { batchId: batch.id, unitId, customId }, () => Date.now());
      const priority = batch.priority === 'interactive' ? 0 : 1;
      return await runner.run({
        name: `${batch.id}/${line.index}`,
        tenant: batch.tenant,
        request,
        seed,
        priority,
        signal,
        onProgress,
        openDeltas: buildDeltaPublisher(bus, batch.id),
      });
    } catch (error) {
      if (error instanceof AppError && error.family === 'input') return presentLineError(error);
      throw error;
    }
  };

  const runJob = async (job: UnitJob, signal: AbortSignal): Promise<void> => {
    const deps = {
      store,
      batches,
      owner,
      lineConcurrency,
      runLine,
      onSegment: (batchId: string, unitId: string) => void bus.publish({ type: 'unit-segment', batchId, unitId }),
      clock: systemClock,
    };
    const cancel = cancels.watch(job.batchId);
    try {
      await runUnitJob(deps, job, AbortSignal.any([signal, cancel.signal]));
    } finally {
      cancel.end();
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
  return {
    ready: { pids: enginePids },
    stop: async () => {
      await consumer.stop(lifecycle.graceMs / 2);
      engine.close();
      report.stop();
      await shared.close();
    },
  };
}

await runProcess('analysis', start);
