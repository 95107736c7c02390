/** What decides who goes first. */
export interface Urgent {
  /** The lower the sooner. */
  readonly priority: number;
  /** Unix milliseconds; null: no deadline. */
  readonly deadlineMs: number | null;
  /** Running number. */
  readonly arrival: number;
}

/** Negative when `a` goes before `b`: by priority, then by deadline, then by arrival. */
export function compareUrgency(a: Urgent, b: Urgent): number {
  return compareRank(a, b) || a.arrival - b.arrival;
}

/** The same without arrival: 0 for two that may be served in either order. */
export function compareRank(a: Urgent, b: Urgent): number {
  return a.priority - b.priority || compareDeadlines(a.deadlineMs, b.deadlineMs);
}

function compareDeadlines(a: number | null, b: number | null): number {
  if (a === b) return 0;
  if (a === null || b === null) return a === null ? 1 : -1;
  return a - b;
}

/** Rows that wait to be computed before their sequences can decode. */
export interface PrefillJob extends Urgent {
  readonly remainingTokens: number;
}

/** Every so many turns the oldest job goes, so that short ones cannot hold up a long one for ever. */
const oldestEvery = 4;

/**
 * Which job gets the next chunk: of those with the best priority the shortest, every fourth turn the oldest. A short
 * request behind a long document so waits for one chunk of it, not for all.
 * @param turn number of chunks given so far
 */
export function choosePrefill<Job extends PrefillJob>(jobs: readonly Job[], turn: number): Job | undefined {
  const priority = Math.min(...jobs.map((job) => job.priority));
  const first = jobs.filter((job) => job.priority === priority);
  const byAge = turn % oldestEvery === oldestEvery - 1;
  return first.reduce<Job | undefined>((best, job) => {
    if (best === undefined) return job;
    // by arrival alone: jobs with deadlines could hold up one without for ever
    const order = byAge ? job.arrival - best.arrival : job.remainingTokens - best.remainingTokens;
    return (order || compareUrgency(job, best)) < 0 ? job : best;
  }, undefined);
}
