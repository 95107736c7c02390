import { setTimeout as wait } from 'node:timers/promises';
import type { ChaosStack } from '../harness/chaos-stack.ts';
import { checkResults } from '../harness/check-results.ts';
import { observe } from '../harness/observer.ts';
import { runThrough } from '../harness/run-through.ts';
import { joinOutcomes, type Outcome, onStack, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';
import { type Submitted, submit } from '../harness/workload.ts';

/** Asks for the end of a batch, until somebody answers. @returns the status the answer names, or why it is refused */
async function cancel(chaos: ChaosStack, { id }: Submitted): Promise<string> {
  return until('answer to a cancel', async () => {
    const response = await fetch(`${chaos.apiUrl}/v1/batches/${id}/cancel`, { method: 'POST' }).catch(() => undefined);
    if (response === undefined || response.status >= 500) return undefined;
    const body = (await response.json()) as { status?: string };
    return response.status === 200 ? String(body.status) : `refused with ${response.status}`;
  });
}

/** Cancels one batch somewhere on its way, and checks that it ends as one of two. */
async function cancelAfter(chaos: ChaosStack, waitMs: number, lines: number): Promise<Outcome> {
  const submitted = await submit(chaos.client, { lines, tokens: 24 });
  const watched = observe(chaos.apiUrl, submitted.id, { deadlineMs: 120_000 });
  await wait(waitMs);
  const answer = await cancel(chaos, submitted);
  const timeline = await watched;
  const status = answer.startsWith('refused') ? 'completed' : 'cancelled';
  const failed = status === 'completed' ? 0 : null;
  return checkResults(chaos, submitted, timeline, { status, failed, errorCode: 'batch_cancelled' });
}

/** Batches on their way from one state to the next. */
export const batchScenarios: readonly Scenario[] = [
  {
    name: 'create_crash_after_store',
    about: 'the api dies between storing a batch and answering: the client repeats, and there is one batch',
    run: ({ lines }) =>
      onStack({ failpoints: 'create.before-record=kill,create.before-hint=kill' }, async (chaos) => {
        const outcome = await runThrough(chaos, { lines: lines ?? 6, when: 'submitted', harm: async () => {} });
        const { data } = await chaos.client.batches.list();
        const problems = [...outcome.problems];
        if (data.length !== 1) problems.push(`${data.length} batches are listed instead of 1`);
        for (const plan of ['create.before-record=kill', 'create.before-hint=kill']) {
          if (!chaos.hasActed(plan)) problems.push(`${plan} did not act`);
        }
        return { ...outcome, kills: 2, problems };
      }),
  },
  {
    name: 'enqueue_lost',
    about: 'Redis cannot be reached while a batch is created: the create succeeds, and the batch runs when it is back',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        chaos.redisWire.set({ type: 'cut' });
        return runThrough(chaos, {
          lines: lines ?? 6,
          when: 'submitted',
          harm: async () => {
            await wait(3_000);
            chaos.redisWire.set({ type: 'pass' });
          },
        });
      }),
  },
  {
    name: 'cancel_racing_completion',
    about:
      'batches are cancelled at every moment of their lives: each ends as completed or cancelled, whole either way',
    run: ({ lines, random }) =>
      onStack({}, async (chaos) => {
        const outcomes: Outcome[] = [];
        for (let batch = 0; batch < 8; batch++) {
          outcomes.push(await cancelAfter(chaos, Math.floor(random.next() * 3_000), lines ?? 6));
        }
        return { ...joinOutcomes(outcomes), wastedTokens: chaos.requestLog.wastedTokens() };
      }),
  },
  {
    name: 'cancel_reverted',
    about:
      'the worker is frozen and the janitor dies while a batch is cancelled: it stays cancelled when they are back',
    run: ({ lines }) =>
      onStack({ failpoints: 'cancel.before-hint=kill,settle.before-seal=kill' }, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 30,
          harm: async (submitted) => {
            const pid = chaos.pidOf('analysis');
            process.kill(pid, 'SIGSTOP');
            await cancel(chaos, submitted);
            await until('janitor that dies', () => chaos.hasActed('settle.before-seal=kill'));
            await wait(3_000);
            process.kill(pid, 'SIGCONT');
          },
          expected: { status: 'cancelled', failed: null, errorCode: 'batch_cancelled' },
        }),
      ),
  },
  {
    name: 'expire_racing_completion',
    about: 'the time of a batch is over while its lines are answered: what is finished is kept, the rest says so',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        const submitted = await submit(chaos.client, { lines: lines ?? 200, metadata: { window: '8s' } });
        const timeline = await observe(chaos.apiUrl, submitted.id, { deadlineMs: 120_000 });
        return checkResults(chaos, submitted, timeline, {
          status: 'expired',
          failed: null,
          errorCode: 'batch_expired',
        });
      }),
  },
  {
    name: 'finalize_crash',
    about: 'the janitor dies at every gap between the last line and the end of a batch',
    run: ({ lines }) => {
      const gaps = ['finalize.before-record', 'finalize.before-manifest', 'close.before-marker'];
      const moves = ['batch.before-move=kill@1', 'batch.before-move=kill@2'];
      const plans = [...gaps.map((name) => `${name}=kill`), ...moves];
      return onStack({ failpoints: plans.join(',') }, async (chaos) => {
        const outcome = await runThrough(chaos, { lines: lines ?? 6, when: 'submitted', harm: async () => {} });
        await until('marker that is left to the next janitor', () => chaos.hasActed('close.before-marker=kill'));
        const idle = plans.filter((plan) => !chaos.hasActed(plan));
        return {
          ...outcome,
          kills: plans.length - idle.length,
          problems: [...outcome.problems, ...idle.map((plan) => `${plan} did not act`)],
        };
      });
    },
  },
  {
    name: 'finalize_twice',
    about: 'two janitors finalize a batch at the same time, one of them slowly',
    run: ({ lines }) =>
      onStack(
        { failpoints: 'finalize.before-manifest=delay:3000,finalize.before-record=delay:1000' },
        async (chaos) => {
          await chaos.startExtra('janitor');
          return runThrough(chaos, { lines: lines ?? 6, when: 'submitted', harm: async () => {} });
        },
      ),
  },
  {
    name: 'clock_skew',
    about: 'one worker lives three hours ahead and a second janitor three hours behind: nothing ends early or late',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        await chaos.startExtra('analysis', { NODE_OPTIONS: skewedBy(3 * 3_600_000) });
        await chaos.startExtra('janitor', { NODE_OPTIONS: skewedBy(-3 * 3_600_000) });
        return runThrough(chaos, { lines: lines ?? 130, tokens: 40, when: 'submitted', harm: async () => {} });
      }),
  },
  {
    name: 'janitor_api_sigkill',
    about: 'janitor and api are killed again and again while a batch runs',
    run: ({ lines, kills }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 30,
          harm: async () => {
            for (let kill = 0; kill < (kills ?? 6); kill++) {
              await chaos.killAndAwaitNext(kill % 2 === 0 ? 'janitor' : 'api');
            }
          },
        }),
      ),
  },
];

/** Node options under which a process's clock is wrong by so much. */
function skewedBy(offsetMs: number): string {
  const source = `const now=Date.now;const D=Date;const at=()=>now()+(${offsetMs});globalThis.Date=class extends D{constructor(...a){a.length===0?super(at()):super(...a)}static now(){return at()}};`;
  return `--import=data:text/javascript,${encodeURIComponent(source)}`;
}
