import type { ChaosStack } from './chaos-stack.ts';
import { checkResults, type Expected } from './check-results.ts';
import { observe } from './observer.ts';
import type { Outcome } from './scenario.ts';
import { type Submitted, submit, type Workload } from './workload.ts';

export interface RunThrough extends Workload {
  /** When the harm is done. @defaultValue when lines are being answered */
  readonly when?: 'submitted' | 'working';
  readonly harm: (submitted: Submitted) => Promise<void>;
  readonly expected?: Expected;
  /** @defaultValue 180,000 */
  readonly deadlineMs?: number;
}

/** Runs a batch, does harm in the middle of it, watches it to its end, and checks everything. */
export async function runThrough(chaos: ChaosStack, options: RunThrough): Promise<Outcome> {
  const { when = 'working', harm, expected, deadlineMs = 180_000 } = options;
  const submitted = await submit(chaos.client, options);
  let harmed: Promise<void> | undefined;
  const start = (): void => {
    harmed ??= harm(submitted);
    // told at the end, with everything else there is to tell
    harmed.catch(() => {});
  };
  if (when === 'submitted') start();
  const timeline = await observe(chaos.apiUrl, submitted.id, {
    deadlineMs,
    onView: ({ status }) => {
      if (status === 'in_progress' && chaos.requestLog.isProducing()) start();
    },
  });
  const problems: string[] = [];
  if (harmed === undefined) problems.push('the batch ended before anything went wrong');
  await harmed;
  const outcome = await checkResults(chaos, submitted, timeline, expected);
  return { ...outcome, problems: [...problems, ...outcome.problems] };
}
