import { setTimeout as wait } from 'node:timers/promises';
import { silentLogger } from '../../../src/base/log.ts';
import { openWorkQueue } from '../../../src/queue/index.ts';
import { keys } from '../../../src/storage/index.ts';
import type { ChaosStack } from '../harness/chaos-stack.ts';
import { runThrough } from '../harness/run-through.ts';
import { onStack, requireRecovery, type Scenario } from '../harness/scenario.ts';
import { until } from '../harness/until.ts';

/** Beyond the lock of 5 s and the search for stalled jobs every 2 s: another worker has the unit by then. */
const beyondLockMs = 8_000;

/** The engine ends soon after each of its first tokens for this line. */
async function killWheneverRuns(
  chaos: ChaosStack,
  batchId: string,
  line: number,
  isOver: () => boolean,
): Promise<void> {
  let killed: number | undefined;
  while (!isOver()) {
    const pid = chaos.requestLog.lastEngineOf(batchId, line);
    if (pid !== undefined && pid !== killed && pid === chaos.stack.pids()['engine']) {
      killed = pid;
      await chaos.kill('engine');
    }
    await wait(20);
  }
}

/** Workers that die, freeze and come back. */
export const workerScenarios: readonly Scenario[] = [
  {
    name: 'worker_sigkill_mid_decode',
    about: 'the worker and its engine are killed while tokens are produced: every line once',
    run: ({ lines, kills }) =>
      onStack({}, async (chaos) => {
        const outcome = await runThrough(chaos, {
          lines: lines ?? 30,
          tokens: 160,
          harm: async () => {
            for (let kill = 0; kill < (kills ?? 2); kill++) {
              await until('token', () => chaos.requestLog.isProducing());
              await chaos.killAndAwaitNext('analysis');
            }
          },
          deadlineMs: 300_000,
        });
        return requireRecovery(outcome);
      }),
  },
  {
    name: 'worker_sigstop_zombie',
    about: 'a worker sleeps beyond its lock, another takes its unit over, the first wakes up: every line once',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        await chaos.startExtra('analysis');
        return runThrough(chaos, {
          lines: lines ?? 130,
          tokens: 40,
          harm: () => chaos.pause('analysis', beyondLockMs),
        });
      }),
  },
  {
    name: 'zombie_writes_checkpoint',
    about: 'a worker stops in front of a write of its log and writes after another has claimed the unit: refused',
    run: ({ lines }) =>
      onStack({ failpoints: 'segment.before-write=pause@1' }, async (chaos) => {
        const extra = await chaos.startExtra('analysis');
        return runThrough(chaos, {
          lines: lines ?? 20,
          when: 'submitted',
          harm: async () => {
            await until('worker that stops', () => chaos.hasActed('segment.before-write=pause@1'));
            await wait(beyondLockMs);
            // only one of them is stopped; the other does not notice
            extra.child.kill('SIGCONT');
            process.kill(chaos.pidOf('analysis'), 'SIGCONT');
          },
        });
      }),
  },
  {
    name: 'double_delivery',
    about: 'every unit is in the queue many times, for two workers: every line once',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        await chaos.startExtra('analysis');
        return runThrough(chaos, {
          lines: lines ?? 70,
          tokens: 40,
          harm: async ({ id: batchId }) => {
            const queue = openWorkQueue({ redisUrl: chaos.redis.url, log: silentLogger });
            const plan = await chaos.store.get(keys.plan('default', batchId));
            const { units } = JSON.parse(Buffer.from(plan?.body ?? []).toString()) as { units: { id: string }[] };
            for (const { id: unitId } of units) {
              for (const epoch of [901, 902, 903]) {
                await queue.addUnit({ version: 1, tenant: 'default', batchId, unitId }, epoch, 'batch');
              }
            }
            await queue.close();
          },
        });
      }),
  },
  {
    name: 'stalled_twice_not_failed',
    about: 'the only worker sleeps beyond its lock again and again: no line is given up',
    run: ({ lines }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 30,
          harm: async () => {
            for (let pause = 0; pause < 3; pause++) {
              await chaos.pause('analysis', beyondLockMs);
              await wait(500);
            }
          },
        }),
      ),
  },
  {
    name: 'poison_line_kills_worker',
    about: 'the engine dies whenever it runs one certain line: that line fails, the others are answered',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        let isOver = false;
        const outcome = runThrough(chaos, {
          lines: lines ?? 12,
          when: 'submitted',
          harm: async ({ id }) => {
            void killWheneverRuns(chaos, id, 3, () => isOver).catch(() => {});
          },
          expected: { failed: 1 },
          deadlineMs: 300_000,
        });
        return outcome.finally(() => {
          isOver = true;
        });
      }),
  },
  {
    name: 'scale_to_zero_mid_batch',
    about: 'everything is stopped in good order in the middle, stays away, and starts again',
    run: ({ lines }) =>
      onStack({}, (chaos) => runThrough(chaos, { lines: lines ?? 30, harm: () => chaos.restartStack(2_000) })),
  },
];
