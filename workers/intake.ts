import { systemClock } from '../src/base/clock.ts';
import { lifecycle } from '../src/base/lifecycle.contract.ts';
import type { Logger } from '../src/base/log.ts';
import type { Config } from '../src/config/index.ts';
import { describeModel } from '../src/engine/index.ts';
import { Intake, openEventsServer, openSqsQueue, runSqsSource } from '../src/intake/index.ts';
import { openShared } from './compose/open-shared.ts';
import { type RunningProcess, runProcess } from './compose/run-process.ts';

async function start(config: Config, log: Logger): Promise<RunningProcess> {
  const { listMs, settleMs, eventsPort, eventsToken, sqsUrl } = config.intake;
  const card = await describeModel(config.modelDir);
  const shared = await openShared(config, log);
  const { maxFileBytes, ...lines } = config.limits;
  const rules = { models: [card.id], maxFileBytes, lines };
  const intake = new Intake({ ...shared, clock: systemClock, log, rules }, { listMs, settleMs });
  const onKeys = (keys: readonly string[]): void => intake.hint(keys);
  const events =
    eventsToken === null ? null : await openEventsServer({ port: eventsPort, token: eventsToken, onKeys, log });
  const stopping = new AbortController();
  const running: Promise<void>[] = [intake.run(stopping.signal)];
  const queue = sqsUrl === null ? null : await openSqsQueue(sqsUrl, config.s3.region);
  if (queue !== null) running.push(runSqsSource({ queue, onKeys, clock: systemClock, log }, stopping.signal));
  return {
    ready: events === null ? {} : { events_url: events.url },
    stop: async () => {
      stopping.abort();
      await events?.close();
      await Promise.race([Promise.allSettled(running), systemClock.sleep(lifecycle.graceMs / 2)]);
      queue?.close();
      await shared.close();
    },
  };
}

await runProcess('intake', start);
