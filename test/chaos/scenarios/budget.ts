import type { ChaosStack } from '../harness/chaos-stack.ts';
import { checkResults } from '../harness/check-results.ts';
import { observe } from '../harness/observer.ts';
import { type Outcome, onStack, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';
import { type Submitted, submit } from '../harness/workload.ts';

interface BudgetView {
  readonly usage?: { readonly total_tokens: number };
  readonly request_counts: { readonly total: number; readonly completed: number };
  readonly ext: {
    readonly wait_reason: string | null;
    readonly token_budget?: { readonly used: number; readonly paused_at: number | null };
  };
}

async function look(chaos: ChaosStack, { id }: Submitted): Promise<BudgetView | undefined> {
  const response = await fetch(`${chaos.apiUrl}/v1/batches/${id}`).catch(() => undefined);
  return response?.status === 200 ? ((await response.json()) as BudgetView) : undefined;
}

function setBudget(chaos: ChaosStack, { id }: Submitted, tokens: number | null): Promise<unknown> {
  return until('answer to a new budget', async () => {
    const response = await fetch(`${chaos.apiUrl}/v1/batches/${id}/budget`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token_budget: tokens }),
    }).catch(() => undefined);
    return response?.status === 200;
  });
}

/** Waits for the pause, and for the lines in work to have stopped: no token comes any more. */
async function untilPaused(chaos: ChaosStack, submitted: Submitted): Promise<BudgetView> {
  return until(
    'pause',
    async () => {
      const view = await look(chaos, submitted);
      return view?.ext.token_budget?.paused_at != null && !chaos.requestLog.isProducing() ? view : undefined;
    },
    120_000,
  );
}

/** Pauses twice, worker and janitor dying in each pause, and goes on without a budget in the end. */
async function pauseTwice(chaos: ChaosStack, submitted: Submitted, firstBudget: number): Promise<readonly string[]> {
  const problems: string[] = [];
  let budget = firstBudget;
  for (let pause = 0; pause < 2; pause++) {
    const { request_counts: counts, ext, usage } = await untilPaused(chaos, submitted);
    if (!ext.wait_reason?.includes(`token budget of ${budget} is used up`)) {
      problems.push(`the batch pauses and its reason is ${JSON.stringify(ext.wait_reason)}`);
    }
    if (counts.completed === 0 || counts.completed === counts.total) {
      problems.push(`${counts.completed} of ${counts.total} lines are answered in the pause`);
    }
    const before = chaos.requestLog.producedTokens();
    await chaos.killAndAwaitNext('janitor');
    await chaos.killAndAwaitNext('analysis');
    // two sweeps of the new janitor, who would enqueue the units if it did not know of the pause
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    const produced = chaos.requestLog.producedTokens() - before;
    if (produced > 0) problems.push(`${produced} tokens were produced in the pause`);
    budget = (usage?.total_tokens ?? 0) + Math.floor(firstBudget / 2);
    await setBudget(chaos, submitted, pause === 0 ? budget : null);
  }
  return problems;
}

/** What a budget does to a batch. */
export const budgetScenarios: readonly Scenario[] = [
  {
    name: 'budget_hit_mid_batch',
    about:
      'the token budget of a batch is used up in the middle, twice, and worker and janitor die while it pauses: nothing runs until the budget is raised, every line is answered once, and the bill is that of a batch without a budget',
    run: ({ lines }) =>
      onStack({}, async (chaos): Promise<Outcome> => {
        const workload = { lines: lines ?? 60, tokens: 320 };
        const free = await submit(chaos.client, workload);
        const { batch: unlimited } = await observe(chaos.apiUrl, free.id, { deadlineMs: 300_000 });
        const needed = unlimited.usage?.total_tokens ?? 0;
        const firstBudget = Math.floor(needed / 3);
        const submitted = await submit(chaos.client, { ...workload, metadata: { token_budget: String(firstBudget) } });
        const pausing = pauseTwice(chaos, submitted, firstBudget);
        pausing.catch(() => {});
        const timeline = await observe(chaos.apiUrl, submitted.id, { deadlineMs: 300_000 });
        const problems = [...(await pausing)];
        const used = timeline.batch.usage?.total_tokens;
        if (used !== needed) problems.push(`${used} tokens are billed, ${needed} without a pause`);
        const outcome = await checkResults(chaos, submitted, timeline);
        return { ...outcome, problems: [...outcome.problems, ...problems] };
      }),
  },
];
