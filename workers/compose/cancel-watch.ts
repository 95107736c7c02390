import { AppError } from '../../src/base/errors.ts';
import type { EventBus } from '../../src/queue/index.ts';

export interface BatchCancel {
  readonly signal: AbortSignal;
  end(): void;
}

/** Turns the news that a batch was cancelled into aborted signals. Missed news costs time only: the unit log decides. */
export class CancelWatch {
  readonly #watching = new Map<string, Set<AbortController>>();

  constructor(bus: EventBus) {
    bus.subscribe((event) => {
      if (event.type !== 'batch-cancel') return;
      for (const controller of this.#watching.get(event.batchId) ?? []) {
        controller.abort(new AppError('cancelled.by-user', `batch ${event.batchId} was cancelled`));
      }
    });
  }

  watch(batchId: string): BatchCancel {
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
}
