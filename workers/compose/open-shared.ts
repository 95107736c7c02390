import { systemClock } from '../../src/base/clock.ts';
import type { Logger } from '../../src/base/log.ts';
import { BatchStore, parseWebhookSecret } from '../../src/batch/index.ts';
import type { Config } from '../../src/config/index.ts';
import { type EventBus, openEventBus, openWorkQueue, type WorkQueue } from '../../src/queue/index.ts';
import { type ObjectStore, openS3ObjectStore } from '../../src/storage/index.ts';

/** What every process but the engine stands on. */
export interface Shared {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  close(): Promise<void>;
}

/** Opens store, queue and events, and makes sure both servers answer. @throws `transient.*`, `input.config` */
export async function openShared(config: Config, log: Logger): Promise<Shared> {
  // a receiver that cannot be told must not be promised to anybody
  if (config.webhooks.secret !== null) parseWebhookSecret(config.webhooks.secret);
  const store = openS3ObjectStore(config.s3);
  await store.check();
  const queue = openWorkQueue({ redisUrl: config.redisUrl, log });
  const bus = openEventBus({ redisUrl: config.redisUrl, log });
  await queue.ping();
  const batches = new BatchStore({ store, clock: systemClock, webhooks: config.webhooks });
  return {
    store,
    batches,
    queue,
    bus,
    close: async () => {
      await Promise.allSettled([queue.close(), bus.close()]);
    },
  };
}
