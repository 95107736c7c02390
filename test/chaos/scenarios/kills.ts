import { setTimeout as wait } from 'node:timers/promises';
import { failpoints } from '../../../src/base/failpoints.contract.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { ChaosStack, Role } from '../harness/chaos-stack.ts';
import { checkResults } from '../harness/check-results.ts';
import { observe } from '../harness/observer.ts';
import { runThrough } from '../harness/run-through.ts';
import { onStack, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';
import { type Submitted, submit } from '../harness/workload.ts';

/** Gaps that a plain batch comes through once it is created. */
const batchGaps = Object.keys(failpoints).filter((name) => !/^(?:create|upload|cancel|settle|drop)\./.test(name));

/** Who dies how often. Without a worker nothing is produced, so most kills are of those who produce. */
const victims: readonly (readonly [Role, number])[] = [
  ['engine', 5],
  ['analysis', 5],
  ['janitor', 2],
  ['api', 1],
  ['intake', 1],
  ['redis', 1],
  ['s3', 1],
];

/** Kills that wait for a moment when tokens are produced; the others come when they come. */
const producingShare = 0.75;
/** A kill comes up to so long after the moment at which it is due, so that none is in step with what the log says. */
const spreadMs = 600;
/** A stack that produces nothing for so long is killed all the same: it may be a crash loop. */
const patienceMs = 30_000;
/** Kills between two words of where a long run is. */
const toldEvery = 25;
const defaultKills = 500;
const linesAKill = 4;

/** Kills spread evenly over the lines of the batch, as its lines are answered. */
async function killAtRandom(
  chaos: ChaosStack,
  batch: Submitted,
  { total, untilMs, random }: { readonly total: number; readonly untilMs: number; readonly random: SeededRandom },
): Promise<void> {
  const lineTotal = batch.customIds.length;
  // the last tenth of the lines is for recovery from the last kill
  const dueAfter = (kill: number): number => Math.floor((kill / total) * lineTotal * 0.9);
  for (let kill = 0; kill < total && Date.now() < untilMs; ) {
    const isDue = (): boolean => chaos.requestLog.endedTotal(batch.id) >= dueAfter(kill);
    await until('progress that allows the next kill', isDue, patienceMs).catch(() => {});
    if (random.next() < producingShare) {
      await until('token', () => chaos.requestLog.isProducing(), patienceMs).catch(() => {});
    }
    await wait(random.next() * spreadMs);
    if (!(await chaos.kill(random.pick(victims)))) {
      await wait(100);
      continue;
    }
    kill += 1;
    if (kill % toldEvery === 0) {
      const met = chaos.kills.filter(({ wasProducing }) => wasProducing).length;
      console.error(
        `${kill} kills, ${met} of them met tokens, ${chaos.requestLog.endedTotal(batch.id)} lines answered`,
      );
    }
  }
}

/** Kills, one after the other. */
export const killScenarios: readonly Scenario[] = [
  {
    name: 'kill_at_every_gap',
    about: 'a process dies once at every gap between two lasting actions of one batch',
    run: ({ lines }) => {
      const plans = batchGaps.map((name) => `${name}=kill`);
      return onStack({ failpoints: plans.join(',') }, async (chaos) => {
        const outcome = await runThrough(chaos, {
          lines: lines ?? 6,
          // the longest take beyond the second in which a unit writes no checkpoint, on a quick machine too
          tokens: 1_000,
          when: 'submitted',
          harm: async () => {},
          deadlineMs: 600_000,
        });
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
    name: 'random_kills',
    about: 'SIGKILL to anybody, most of them while tokens are produced, all through a long batch',
    run: ({ lines, kills, minutes, random }) =>
      onStack({}, async (chaos) => {
        const total = kills ?? defaultKills;
        const untilMs = minutes == null ? Number.POSITIVE_INFINITY : Date.now() + minutes * 60_000;
        const submitted = await submit(chaos.client, { lines: lines ?? total * linesAKill });
        let failed: unknown;
        const killing = killAtRandom(chaos, submitted, { total, untilMs, random }).catch((error: unknown) => {
          failed = error;
        });
        const timeline = await observe(chaos.apiUrl, submitted.id, { deadlineMs: 3_600_000 });
        await killing;
        const outcome = await checkResults(chaos, submitted, timeline);
        const problems = [...outcome.problems];
        if (failed !== undefined) problems.push(`kills ended early: ${String(failed)}`);
        if (outcome.kills < total) problems.push(`${outcome.kills} kills instead of ${total}`);
        if (outcome.producingKills < outcome.kills * 0.6) {
          problems.push(`${outcome.producingKills} of ${outcome.kills} kills met tokens: fewer than 60 %`);
        }
        return { ...outcome, problems };
      }),
  },
];
