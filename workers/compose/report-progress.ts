import type { GenerateProgress } from '../../src/engine/index.ts';
import type { Generate } from '../../src/pipeline/index.ts';
import type { EventBus } from '../../src/queue/index.ts';

/** Often enough to look alive, rarely enough to cost nothing. */
const everyMs = 250;

/** What every request that runs has written, by its id. */
export class WrittenTokens {
  readonly #written = new Map<string, number>();
  readonly #begun = new Set<string>();

  /** The same `generate`, followed. */
  follow(generate: Generate): Generate {
    return async (request, options) => {
      const { id } = request;
      try {
        return await generate(request, {
          ...options,
          onProgress: (progress) => {
            this.#written.set(id, progress.completionTokens);
            if (progress.phase === 'think' || progress.phase === 'answer') this.#begun.add(id);
            options.onProgress?.(progress);
          },
        });
      } finally {
        this.#written.delete(id);
        this.#begun.delete(id);
      }
    };
  }

  /**
   * Those whose prompt is read. The others have nothing to keep, and a checkpoint of theirs would fix a bill that is not
   * made yet: what of the prompt was there already shows when it is read.
   */
  listBegun(ids: readonly string[]): readonly string[] {
    return ids.filter((id) => this.#begun.has(id));
  }

  /** Requests are named after their line, lines after their batch. */
  ofBatch(batchId: string): Readonly<Record<string, number>> {
    const own = [...this.#written].filter(([id, tokens]) => tokens > 0 && id.startsWith(`${batchId}/`));
    return Object.fromEntries(own);
  }
}

/** Engine progress of one unit → the bus, at most four times a second, whatever the number of its lines. */
export function buildProgressReporter(
  bus: EventBus,
  unit: { readonly batchId: string; readonly unitId: string },
  written: WrittenTokens,
  nowMs: () => number,
): (customId: string, progress: GenerateProgress) => void {
  const { batchId, unitId } = unit;
  let lastMs = 0;
  return (customId, { phase, promptTokens, prefilledTokens, completionTokens }) => {
    const atMs = nowMs();
    if (atMs - lastMs < everyMs) return;
    lastMs = atMs;
    const counts = { promptTokens, prefilledTokens, completionTokens };
    const reach = written.ofBatch(batchId);
    void bus.saveProgress(batchId, { unitId, customId, step: phase, ...counts, written: reach, atMs });
  };
}

/**
 * What was heard of requests of a batch before their unit was taken over. News may be missing: then it counts as
 * nothing.
 */
export async function readHeardTokens(bus: EventBus, batchId: string): Promise<ReadonlyMap<string, number>> {
  const heard = new Map<string, number>();
  const reports = await bus.readProgress(batchId).catch(() => []);
  for (const { written } of reports) {
    for (const [id, tokens] of Object.entries(written ?? {})) {
      if (Number.isSafeInteger(tokens) && tokens >= 0) heard.set(id, Math.max(tokens, heard.get(id) ?? 0));
    }
  }
  return heard;
}
