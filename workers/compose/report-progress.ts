import type { GenerateProgress } from '../../src/engine/index.ts';
import type { EventBus } from '../../src/queue/index.ts';

/** Often enough to look alive, rarely enough to cost nothing. */
const everyMs = 250;

/** Engine progress of one line → the bus, at most four times a second. */
export function buildProgressReporter(
  bus: EventBus,
  line: { readonly batchId: string; readonly unitId: string; readonly customId: string },
  nowMs: () => number,
): (progress: GenerateProgress) => void {
  let lastMs = 0;
  return ({ phase, promptTokens, prefilledTokens, completionTokens }) => {
    const atMs = nowMs();
    if (atMs - lastMs < everyMs) return;
    lastMs = atMs;
    const { batchId, unitId, customId } = line;
    const counts = { promptTokens, prefilledTokens, completionTokens };
    void bus.saveProgress(batchId, { unitId, customId, step: phase, ...counts, atMs });
  };
}
