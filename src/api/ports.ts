import type { Registry } from 'prom-client';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/log.ts';
import type { BatchStore } from '../batch/index.ts';
import type { ModelCard } from '../engine/index.ts';
import type { EventBus, WorkQueue } from '../queue/index.ts';
import type { ObjectStore } from '../storage/index.ts';

/** Everything the API uses; it opens and closes none of it. */
export interface ServerDeps {
  readonly store: ObjectStore;
  readonly batches: BatchStore;
  readonly queue: WorkQueue;
  readonly bus: EventBus;
  /** What is served here; requests for other models are refused. */
  readonly models: readonly ModelCard[];
  readonly clock: Clock;
  readonly log: Logger;
  /** One registry a server: metric names are registered once. */
  readonly registry: Registry;
}
