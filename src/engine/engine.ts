import { AppError } from '../base/errors.ts';
import { sha256Hex } from '../base/hash.ts';
import { type GenerateDeps, generate } from './generate.ts';
import type { GenerateProgress, GenerateRequest, GenerateResult } from './messages.ts';

interface Waiting {
  readonly request: GenerateRequest;
  readonly prefixKey: string;
  readonly enqueuedMs: number;
  readonly report: (progress: GenerateProgress) => void;
  readonly resolve: (result: GenerateResult) => void;
  readonly reject: (error: unknown) => void;
  cancelled: boolean;
}

/** After this many requests in a row on the warm prefix, another one gets its turn. */
const warmRunLimit = 64;

/**
 * Runs requests one after another. Order: priority, then the prefix that is warm (bounded by `warmRunLimit`), then age.
 * The loop yields to the event loop between two runs, so messages and cancellations arrive between steps.
 */
export class Engine {
  readonly #deps: GenerateDeps;
  readonly #waiting: Waiting[] = [];
  #running: Waiting | null = null;
  #warmKey: string | null = null;
  #warmRun = 0;

  constructor(deps: GenerateDeps) {
    this.#deps = deps;
  }

  /** @throws what `generate` throws, and `cancelled.by-user` after `cancel`. */
  submit(request: GenerateRequest, report: (progress: GenerateProgress) => void): Promise<GenerateResult> {
    return new Promise((resolve, reject) => {
      const prefixKey = prefixKeyOf(request);
      const enqueuedMs = this.#deps.nowMs();
      this.#waiting.push({ request, prefixKey, enqueuedMs, report, resolve, reject, cancelled: false });
      if (this.#running === null) void this.#loop();
    });
  }

  /** Takes effect before the next run; unknown ids are ignored, since the request may just have ended. */
  cancel(id: string): void {
    const index = this.#waiting.findIndex(({ request }) => request.id === id);
    const [waiting] = index >= 0 ? this.#waiting.splice(index, 1) : [];
    waiting?.reject(cancelled());
    if (this.#running?.request.id === id) this.#running.cancelled = true;
  }

  async #loop(): Promise<void> {
    for (let next = this.#takeNext(); next !== undefined; next = this.#takeNext()) {
      this.#running = next;
      await this.#runOne(next);
      this.#running = null;
    }
  }

  #takeNext(): Waiting | undefined {
    const first = Math.min(...this.#waiting.map(({ request }) => request.priority));
    const candidates = this.#waiting.filter(({ request }) => request.priority === first);
    const warm = candidates.find(({ prefixKey }) => prefixKey === this.#warmKey);
    const next = warm !== undefined && this.#warmRun < warmRunLimit ? warm : candidates[0];
    if (next === undefined) return undefined;
    this.#waiting.splice(this.#waiting.indexOf(next), 1);
    this.#warmRun = next.prefixKey === this.#warmKey ? this.#warmRun + 1 : 0;
    this.#warmKey = next.prefixKey;
    return next;
  }

  async #runOne(waiting: Waiting): Promise<void> {
    const queueMs = this.#deps.nowMs() - waiting.enqueuedMs;
    const between = async (): Promise<void> => {
      await new Promise(setImmediate);
      if (waiting.cancelled) throw cancelled();
    };
    try {
      const result = await generate(this.#deps, waiting.request, between, waiting.report);
      waiting.resolve({ ...result, queueMs });
    } catch (error) {
      waiting.reject(error);
    }
  }
}

function cancelled(): AppError {
  return new AppError('cancelled.by-user', 'request was cancelled');
}

/** Equal for requests that share tools and leading messages. */
function prefixKeyOf(request: GenerateRequest): string {
  return sha256Hex(JSON.stringify([request.tools, request.messages.slice(0, request.sharedMessages)]));
}
