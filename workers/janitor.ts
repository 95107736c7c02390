import { systemClock } from '../src/base/clock.ts';
import { lifecycle } from '../src/base/lifecycle.contract.ts';
import type { Logger } from '../src/base/log.ts';
import { buildWebhookSender, Janitor, parseWebhookSecret, WebhookOutbox } from '../src/batch/index.ts';
import type { Config } from '../src/config/index.ts';
import { openControlConsumer, openStalledWatch } from '../src/queue/index.ts';
import { openShared } from './compose/open-shared.ts';
import { type RunningProcess, runProcess } from './compose/run-process.ts';

async function start(config: Config, log: Logger): Promise<RunningProcess> {
  const shared = await openShared(config, log);
  const { limits, lineDeaths, webhooks: policy } = config;
  const webhooks = new WebhookOutbox({
    store: shared.store,
    clock: systemClock,
    log,
    policy,
    secret: policy.secret === null ? null : parseWebhookSecret(policy.secret),
    send: buildWebhookSender(policy),
  });
  const janitor = new Janitor({ ...shared, clock: systemClock, log, limits, lineDeaths, webhooks });
  const sweeping = new AbortController();
  const swept = Promise.all([janitor.run(sweeping.signal), webhooks.run(sweeping.signal)]);
  const consumer = openControlConsumer({ redisUrl: config.redisUrl, log }, (job) =>
    janitor.handle(job.tenant, job.batchId),
  );
  const stalled = openStalledWatch({ redisUrl: config.redisUrl, stalledMs: config.analysis.stalledMs / 2, log });
  return {
    stop: async () => {
      sweeping.abort();
      await Promise.allSettled([consumer.stop(lifecycle.graceMs / 2), stalled.stop(), swept]);
      await shared.close();
    },
  };
}

await runProcess('janitor', start);
