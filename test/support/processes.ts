import { setTimeout as wait } from 'node:timers/promises';
import { findProcessIdentity } from '../../src/local/process-identity.ts';

/**
 * Resolves when none of these processes lives (a zombie does not). For processes that are not ours, whose end no event
 * tells. Rejects after 10 s naming those left.
 */
export async function untilAllDead(pids: readonly number[]): Promise<void> {
  const deadlineMs = Date.now() + 10_000;
  for (;;) {
    const left = pids.filter((pid) => findProcessIdentity(pid) !== undefined);
    if (left.length === 0) return;
    if (Date.now() > deadlineMs) throw new Error(`still running: ${left.join(', ')}`);
    await wait(10);
  }
}
