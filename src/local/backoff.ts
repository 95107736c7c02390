const firstBackoffMs = 100;
const maxBackoffMs = 5_000;
/** A life this long was no failed start: the next crash begins again at the first step. */
const healthyLifeMs = 10_000;

/**
 * How long to wait before the next start: 100 ms, doubling with every short life up to 5 s.
 * `previousMs` is null before the first crash.
 */
export function planBackoffMs(previousMs: number | null, livedMs: number): number {
  if (previousMs === null || livedMs >= healthyLifeMs) return firstBackoffMs;
  return Math.min(previousMs * 2, maxBackoffMs);
}
