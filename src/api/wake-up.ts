import type { Clock } from '../base/clock.ts';
import type { EventBus } from '../queue/index.ts';

/** First wait doubles up to four times its length: short answers are seen soon, long ones cost few requests. */
const pollGrowth = 2;
const pollCeiling = 4;

export interface WakeUpDeps {
  readonly bus: EventBus;
  readonly clock: Clock;
  readonly pollMs: number;
}

/**
 * Looks until `look` finds something. Looks at once, after every event about the batch, and in growing intervals
 * besides, because events may be lost.
 * @throws the signal's reason when it aborts; what `look` throws
 */
export async function lookUntilFound<Found>(
  { bus, clock, pollMs }: WakeUpDeps,
  batchId: string,
  look: () => Promise<Found | undefined>,
  signal: AbortSignal,
): Promise<Found> {
  let heard = false;
  let wake = (): void => {};
  const unsubscribe = bus.subscribe((event) => {
    // what an answer gained is no sign of its end, and comes with every token
    if (event.batchId !== batchId || event.type === 'line-delta') return;
    heard = true;
    wake();
  });
  try {
    for (let waitMs = pollMs; ; waitMs = Math.min(waitMs * pollGrowth, pollMs * pollCeiling)) {
      signal.throwIfAborted();
      // an event that comes during the look may be about what the look has just missed
      heard = false;
      const found = await look();
      if (found !== undefined) return found;
      signal.throwIfAborted();
      if (heard) continue;
      const early = new AbortController();
      wake = () => early.abort();
      await clock.sleep(waitMs, AbortSignal.any([signal, early.signal])).catch(() => {});
    }
  } finally {
    unsubscribe();
  }
}
