import type { EngineStats } from './messages.ts';

type Counted = Pick<
  EngineStats,
  | 'prefillTokens'
  | 'cachedTokens'
  | 'decodeTokens'
  | 'draftedTokens'
  | 'acceptedTokens'
  | 'runs'
  | 'runMs'
  | 'overheadMs'
  | 'preemptions'
  | 'cancellations'
  | 'checkpoints'
>;

/** What the engine counts from its start. */
export class EngineCounters {
  prefillTokens = 0;
  cachedTokens = 0;
  decodeTokens = 0;
  draftedTokens = 0;
  acceptedTokens = 0;
  runs = 0;
  preemptions = 0;
  cancellations = 0;
  checkpoints = 0;
  readonly #runMs: () => number;
  readonly #clockMs: () => number;
  #busyMs = 0;
  #resumedMs: number | null = null;

  /**
   * @param runMs milliseconds spent inside the runtime so far
   * @param clockMs a monotonic clock
   */
  constructor(runMs: () => number, clockMs: () => number = () => performance.now()) {
    this.#runMs = runMs;
    this.#clockMs = clockMs;
  }

  /** There is work to do from now on. */
  resume(): void {
    this.#resumedMs ??= this.#clockMs();
  }

  /** There is none, or it waits for pages. */
  pause(): void {
    this.#busyMs = this.#busySoFar();
    this.#resumedMs = null;
  }

  read(): Counted {
    const runMs = this.#runMs();
    return {
      prefillTokens: this.prefillTokens,
      cachedTokens: this.cachedTokens,
      decodeTokens: this.decodeTokens,
      draftedTokens: this.draftedTokens,
      acceptedTokens: this.acceptedTokens,
      runs: this.runs,
      runMs,
      overheadMs: Math.max(0, this.#busySoFar() - runMs),
      preemptions: this.preemptions,
      cancellations: this.cancellations,
      checkpoints: this.checkpoints,
    };
  }

  #busySoFar(): number {
    return this.#busyMs + (this.#resumedMs === null ? 0 : this.#clockMs() - this.#resumedMs);
  }
}
