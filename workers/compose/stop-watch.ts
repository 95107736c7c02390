import { AppError } from '../../src/base/errors.ts';
import type { EventBus } from '../../src/queue/index.ts';

export interface BatchStop {
  readonly signal: AbortSignal;
  end(): void;
}

/**
 * Turns the news that a batch was cancelled or paused into aborted signals. Missed news costs time only: the unit log
 * decides, and a pause is said again.
 */
export class StopWatch {
  readonly #watching = new Map<string, Set<AbortController>>();

  constructor(bus: EventBus) {
    bus.subscribe(({ type, batchId }) => {
      if (type === 'batch-cancel')
        this.#stop(batchId, new AppError('cancelled.by-user', `batch ${batchId} was cancelled`));
      if (type === 'batch-pause') this.#stop(batchId, new AppError('cancelled.paused', `batch ${batchId} is paused`));
    });
  }

  watch(batchId: string): BatchStop {
    const controller = new AbortController();
    const controllers = this.#watching.get(batchId) ?? new Set();
    controllers.add(controller);
    this.#watching.set(batchId, controllers);
    return {
      signal: controller.signal,
      end: () => {
        controllers.delete(controller);
        if (controllers.size === 0) this.#watching.delete(batchId);
      },
    };
  }

  #stop(batchId: string, reason: AppError): void {
    for (const controller of this.#watching.get(batchId) ?? []) controller.abort(reason);
  }
}
