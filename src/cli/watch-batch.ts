import type { BatchObject } from '../api/schemas/batch.schema.ts';
import type { Clock } from '../base/clock.ts';
import { isFamily } from '../base/errors.ts';
import { frameOf, isOver } from './batch-frame.ts';
import type { QuireApi } from './client.ts';
import type { Progress } from './progress.ts';

export interface WatchDeps {
  readonly api: Pick<QuireApi, 'getBatch'>;
  readonly progress: Progress;
  readonly clock: Clock;
  /** Aborts the watching, never the batch. */
  readonly signal: AbortSignal;
  /** Told of every answer that differs from the one before. */
  readonly onChange?: (batch: BatchObject) => void;
  /** Between two questions. @defaultValue 500 */
  readonly pollMs?: number;
  /** How long nobody may answer. @defaultValue 60,000: a server that restarts needs seconds */
  readonly patienceMs?: number;
}

/**
 * Asks for the batch again and again and shows it, until it is over.
 * @throws what the server says of the batch; `transient.*` when it stays away; the signal's reason
 */
export async function watchBatch(deps: WatchDeps, id: string): Promise<BatchObject> {
  const { api, progress, clock, signal, onChange = () => {}, pollMs = 500, patienceMs = 60_000 } = deps;
  let last = '';
  let awaySinceMs: number | null = null;
  try {
    for (;;) {
      try {
        const batch = await api.getBatch(id);
        if (awaySinceMs !== null) progress.note('the server answers again');
        awaySinceMs = null;
        progress.show(frameOf(batch, clock.nowMs()));
        const text = JSON.stringify(batch);
        if (text !== last) onChange(batch);
        last = text;
        if (isOver(batch)) return batch;
      } catch (error) {
        if (!isFamily(error, 'transient')) throw error;
        const nowMs = clock.nowMs();
        if (awaySinceMs === null) progress.note('the server does not answer; trying again');
        awaySinceMs ??= nowMs;
        if (nowMs - awaySinceMs >= patienceMs) throw error;
      }
      await clock.sleep(pollMs, signal);
    }
  } finally {
    progress.end();
  }
}
