import { describePause, findFinalizing } from '../batch/index.ts';
import type { BatchRecord } from '../batch/records.schema.ts';
import type { WorkQueue } from '../queue/index.ts';
import type { UnitProgress } from '../queue/messages.schema.ts';
import type { ServerDeps } from './ports.ts';
import { type BatchActivity, noActivity } from './present/batch.ts';

/** What is heard of the units of one batch; it can be asked for before the batch is there. */
export type BatchNews = Promise<readonly UnitProgress[]>;

/** Asks beside the record: whoever looks at one batch most often watches it run. */
export function beginNews({ bus }: Pick<ServerDeps, 'bus'>, batchId: string): BatchNews {
  const news = bus.readProgress(batchId);
  // a batch that does not run needs none
  news.catch(() => {});
  return news;
}

/**
 * What a batch is doing and, when it is doing nothing, why. News, so it may be missing but never fails the request.
 * One reader a request: the queue is counted once, however many batches are shown.
 */
export function buildActivityReader({
  bus,
  queue,
  store,
}: Pick<ServerDeps, 'bus' | 'queue' | 'store'>): (record: BatchRecord, begun?: BatchNews) => Promise<BatchActivity> {
  let counting: ReturnType<WorkQueue['counts']> | undefined;
  const countOnce = (): ReturnType<WorkQueue['counts']> => {
    counting ??= queue.counts();
    return counting;
  };
  return async (record, begun) => {
    switch (record.status) {
      case 'completed':
      case 'failed':
      case 'expired':
      case 'cancelled':
        return noActivity;
      case 'validating':
        return { ...noActivity, waitReason: 'the input file is being checked and planned' };
      case 'finalizing':
        return {
          ...noActivity,
          waitReason: 'the result files are being written',
          finalizing: await progressOf(store, record),
        };
      case 'cancelling':
        return {
          ...noActivity,
          waitReason: 'running units are being stopped',
          finalizing: await progressOf(store, record),
        };
      case 'in_progress': {
        const pause = describePause(record);
        return pause === null
          ? readRunning(begun ?? bus.readProgress(record.id), countOnce)
          : { ...noActivity, waitReason: pause };
      }
    }
  };
}

async function progressOf(store: ServerDeps['store'], record: BatchRecord): Promise<BatchActivity['finalizing']> {
  try {
    return await findFinalizing(store, record);
  } catch {
    return null;
  }
}

async function readRunning(news: BatchNews, count: WorkQueue['counts']): Promise<BatchActivity> {
  try {
    const current = await news;
    return { ...noActivity, current, waitReason: current.length > 0 ? null : describeQueue(await count()) };
  } catch {
    return { ...noActivity, waitReason: 'the work queue is unreachable; the batch goes on when it is back' };
  }
}

function describeQueue({ waiting, active, delayed }: Awaited<ReturnType<WorkQueue['counts']>>): string {
  if (active > 0) return `queued: ${waiting} units waiting in all, ${active} running`;
  if (waiting > 0) return `no worker is running: ${waiting} units waiting in all`;
  if (delayed > 0) return `put off: ${delayed} units will be tried again soon`;
  return 'units are being put into the work queue';
}
