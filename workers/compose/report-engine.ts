import type { EngineStats } from '../../src/engine/index.ts';
import type { EventBus } from '../../src/queue/index.ts';

/** A few times within the life of a report, so that a lost one leaves no gap. */
const everyMs = 2_000;

/** Tells the bus what the engine says of itself, again and again: silence means that the worker is gone. */
export function reportEngine(
  bus: Pick<EventBus, 'saveEngineStats'>,
  workerId: string,
  stats: () => EngineStats | null,
): { stop(): void } {
  const timer = setInterval(() => {
    const now = stats();
    if (now !== null) void bus.saveEngineStats(workerId, now);
  }, everyMs);
  return { stop: () => clearInterval(timer) };
}
