import { systemClock } from '../src/base/clock.ts';
import { lifecycle } from '../src/base/lifecycle.contract.ts';
import type { Logger } from '../src/base/log.ts';
import { Janitor } from '../src/batch/index.ts';
import type { Config } from '../src/config/index.ts';
import { openControlConsumer } from '../src/queue/index.ts';
import { openShared } from './compose/open-shared.ts';
import { type RunningProcess, runProcess } from './compose/run-process.ts';

async function start(config: Config, log: Logger): Promise<RunningProcess> {
  const shared = await openShared(config, log);
  const janitor = new Janitor({ ...shared, clock: systemClock, log, limits: config.limits });
  const sweeping = new AbortController();
  const swept = janitor.run(sweeping.signal);
  const consumer = openControlConsumer({ redisUrl: config.redisUrl, log }, (job) =>
    janitor.handle(job.tenant, job.batchId),
  );
  return {
    stop: async () => {
      sweeping.abort();
      await Promise.allSettled([consumer.stop(lifecycle.graceMs / 2), swept]);
      await shared.close();
    },
  };
}

await runProcess('janitor', start);
