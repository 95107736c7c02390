import type { JobsOptions } from 'bullmq';

/** Name of the backoff that workers compute; see `retryWaitMs`. */
const backoffType = 'capped-exponential';

const firstWaitMs = 100;
const maxWaitMs = 5_000;

/** 0.1 s, 0.2 s, … 5 s, each shortened by up to a half at random, so that retries of an outage do not come in step. */
export function retryWaitMs(attemptsMade: number, random: () => number = Math.random): number {
  const waitMs = Math.min(firstWaitMs * 2 ** Math.max(0, attemptsMade - 1), maxWaitMs);
  return Math.round(waitMs * (1 - random() / 2));
}

/**
 * A transient failure is tried again for about an hour (1,000 tries of 2.5 to 5 s); after that the job is removed and
 * the janitor adds a new one while the batch lasts. Nothing is kept: the truth is in the object store.
 */
export const jobOptions: JobsOptions = {
  attempts: 1_000,
  backoff: { type: backoffType },
  removeOnComplete: true,
  removeOnFail: true,
};
