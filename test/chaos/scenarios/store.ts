import { setTimeout as wait } from 'node:timers/promises';
import { type Fault, pass, type SeenRequest } from '../../support/fault-proxy.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import type { ChaosStack } from '../harness/chaos-stack.ts';
import { runThrough } from '../harness/run-through.ts';
import { onStack, type Scenario, type ScenarioContext } from '../harness/scenario.ts';

const isWrite = ({ method }: SeenRequest): boolean => method === 'PUT' || method === 'POST';

const answerOf = (status: number, code: string, isForwarded: boolean): Fault => ({
  type: 'answer',
  status,
  code,
  isForwarded,
});

/** A batch during which a share of the requests meets a fault, from its creation to its end. */
function faulty(
  choose: (seen: SeenRequest, random: SeededRandom) => Fault,
): (context: ScenarioContext) => ReturnType<Scenario['run']> {
  return ({ lines, random }) =>
    onStack({}, (chaos) =>
      runThrough(chaos, {
        lines: lines ?? 40,
        when: 'submitted',
        harm: async () => {
          chaos.plan = (seen) => choose(seen, random);
        },
        deadlineMs: 300_000,
      }).finally(() => {
        chaos.plan = () => pass;
      }),
    );
}

async function during(chaos: ChaosStack, choose: (seen: SeenRequest) => Fault, ms: number): Promise<void> {
  chaos.plan = choose;
  await wait(ms);
  chaos.plan = () => pass;
}

/** The object store is slow, refuses, and loses answers. */
export const storeScenarios: readonly Scenario[] = [
  {
    name: 's3_409_race',
    about: 'a third of the conditional writes meets 409 ConditionalRequestConflict, some of them after they were done',
    run: faulty((seen, random) => {
      const isConditional = seen.headers['if-none-match'] !== undefined || seen.headers['if-match'] !== undefined;
      if (!isConditional || random.next() > 1 / 3) return pass;
      return answerOf(409, 'ConditionalRequestConflict', random.next() < 0.3);
    }),
  },
  {
    name: 's3_slow',
    about: 'every byte to and from the store takes 150 ms longer',
    run: ({ lines }) =>
      onStack({}, (chaos) => {
        chaos.s3Wire.set({ type: 'slow', ms: 150 });
        return runThrough(chaos, { lines: lines ?? 30, when: 'submitted', harm: async () => {}, deadlineMs: 300_000 });
      }),
  },
  {
    name: 's3_5xx_storm',
    about: 'half of all requests fail with 500, 503 or 504 for ten seconds, then all of them for three',
    run: ({ lines, random }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 40,
          harm: async () => {
            const storm = (): Fault =>
              random.pick<Fault>([
                [pass, 5],
                [answerOf(500, 'InternalError', true), 1],
                [answerOf(503, 'SlowDown', false), 3],
                [answerOf(504, 'GatewayTimeout', true), 1],
              ]);
            await during(chaos, storm, 10_000);
            await during(chaos, () => answerOf(503, 'SlowDown', false), 3_000);
          },
          deadlineMs: 300_000,
        }),
      ),
  },
  {
    name: 'put_committed_response_lost',
    about: 'a fifth of the writes is done and its answer never arrives',
    run: faulty((seen, random) => (isWrite(seen) && random.next() < 0.2 ? { type: 'lose-answer' } : pass)),
  },
  {
    name: 's3_killed_and_frozen',
    about: 'the store is killed twice and freezes for six seconds',
    run: ({ lines, kills }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 40,
          harm: async () => {
            for (let kill = 0; kill < (kills ?? 2); kill++) {
              await chaos.kill('s3');
              await wait(500);
            }
            await chaos.pause('s3', 6_000);
          },
          deadlineMs: 300_000,
        }),
      ),
  },
  {
    name: 's3_cut_half_way',
    about: 'connections to the store break after 300 bytes, in headers and bodies, then all are cut, then half-open',
    run: ({ lines }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 40,
          harm: async () => {
            await chaos.s3Wire.during({ type: 'reset', afterBytes: 300 }, () => wait(3_000));
            await chaos.s3Wire.during({ type: 'cut' }, () => wait(3_000));
            await chaos.s3Wire.during({ type: 'stall' }, () => wait(5_000));
          },
          deadlineMs: 300_000,
        }),
      ),
  },
  {
    name: 'quota_full_disk',
    about: 'the disk of the store is full for eight seconds: nothing can be written, everything can be read',
    run: ({ lines }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 40,
          harm: () =>
            during(chaos, (seen) => (isWrite(seen) ? answerOf(507, 'InsufficientStorage', false) : pass), 8_000),
          deadlineMs: 300_000,
        }),
      ),
  },
];
