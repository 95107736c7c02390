import { setTimeout as wait } from 'node:timers/promises';
import { openPrivateRedis } from '../../support/private-redis.ts';
import { askRedis } from '../harness/ask-redis.ts';
import { runThrough } from '../harness/run-through.ts';
import { onStack, type Scenario } from '../harness/scenario.ts';

/** Redis forgets, lies and goes away. Nothing in it is the truth. */
export const redisScenarios: readonly Scenario[] = [
  {
    name: 'redis_wiped',
    about: 'everything in Redis is deleted in the middle: the janitor fills the queue again',
    run: ({ lines }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 130,
          tokens: 40,
          harm: async () => {
            await chaos.wipeRedis();
            await wait(1_500);
            await chaos.wipeRedis();
          },
        }),
      ),
  },
  {
    name: 'redis_failover_lost_write',
    about: 'a replica that lacks the last seconds takes over: jobs that were done are there again, new ones are gone',
    run: ({ lines }) =>
      onStack({}, async (chaos) => {
        const replica = await openPrivateRedis();
        try {
          const { password } = new URL(chaos.redis.url);
          await askRedis(replica.url, ['CONFIG', 'SET', 'masterauth', password]);
          await askRedis(replica.url, ['REPLICAOF', '127.0.0.1', String(chaos.redis.port)]);
          return await runThrough(chaos, {
            lines: lines ?? 130,
            tokens: 40,
            when: 'submitted',
            harm: async () => {
              await wait(2_000);
              await askRedis(replica.url, ['REPLICAOF', 'NO', 'ONE']);
              await wait(3_000);
              chaos.redisWire.retarget(replica.port);
            },
          });
        } finally {
          chaos.redisWire.retarget(chaos.redis.port);
          await replica.close();
        }
      }),
  },
  {
    name: 'redis_killed',
    about: 'Redis is killed twice and comes back with its data',
    run: ({ lines, kills }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 30,
          harm: async () => {
            for (let kill = 0; kill < (kills ?? 2); kill++) {
              await chaos.kill('redis');
              await wait(1_000);
            }
          },
        }),
      ),
  },
  {
    name: 'redis_cut_stalled_slow',
    about: 'the way to Redis is cut, half-open, slow, and breaks in the middle of messages',
    run: ({ lines }) =>
      onStack({}, (chaos) =>
        runThrough(chaos, {
          lines: lines ?? 40,
          harm: async () => {
            await chaos.redisWire.during({ type: 'cut' }, () => wait(2_000));
            await wait(500);
            await chaos.redisWire.during({ type: 'stall' }, () => wait(7_000));
            await chaos.redisWire.during({ type: 'slow', ms: 100 }, () => wait(3_000));
            await chaos.redisWire.during({ type: 'reset', afterBytes: 900 }, () => wait(2_000));
          },
        }),
      ),
  },
];
