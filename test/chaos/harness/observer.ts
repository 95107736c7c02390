import { setTimeout as wait } from 'node:timers/promises';

/** What the public API said of a batch, as anybody sees it from outside. */
export interface BatchView {
  readonly id: string;
  readonly status: string;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly usage?: { readonly total_tokens: number };
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly errors: { readonly data: readonly { readonly code: string; readonly message: string }[] } | null;
}

export interface Timeline {
  /** The last view, of a terminal state. */
  readonly batch: BatchView;
  readonly statuses: readonly string[];
  /** What must not have been seen. */
  readonly illegal: readonly string[];
  /** Polls that nobody answered, or that said "not now". */
  readonly unanswered: number;
}

export interface ObserveOptions {
  /** @throws past this many milliseconds: every batch must come to its end */
  readonly deadlineMs: number;
  readonly onView?: (view: BatchView) => void;
}

/**
 * What may be seen after what. Written down here once more, on purpose not read from the product. A poll may miss states
 * that pass quickly, so this is reachability, not single moves.
 */
const laterStates: Readonly<Record<string, readonly string[]>> = {
  validating: ['in_progress', 'finalizing', 'cancelling', 'completed', 'failed', 'expired', 'cancelled'],
  in_progress: ['finalizing', 'cancelling', 'completed', 'failed', 'expired', 'cancelled'],
  finalizing: ['cancelling', 'completed', 'failed', 'expired', 'cancelled'],
  cancelling: ['cancelled'],
  completed: [],
  failed: [],
  expired: [],
  cancelled: [],
};

const pollMs = 100;
const pollTimeoutMs = 10_000;
/** Looks at a batch that is final: it must stay what it is. */
const lastLooks = 5;

/** Polls a batch through everything until it is final, and a little longer. */
export async function observe(apiUrl: string, batchId: string, options: ObserveOptions): Promise<Timeline> {
  const startMs = Date.now();
  const judge = new Judge();
  let unanswered = 0;
  let looks = 0;
  for (;;) {
    const view = await poll(apiUrl, batchId);
    if (view === undefined) unanswered += 1;
    else {
      judge.see(view);
      options.onView?.(view);
      if (laterStates[view.status]?.length === 0) looks += 1;
      if (looks > lastLooks) return { batch: view, statuses: judge.statuses, illegal: judge.illegal, unanswered };
    }
    if (Date.now() - startMs > options.deadlineMs) {
      const last = JSON.stringify(judge.last ?? 'never seen');
      throw new Error(`batch ${batchId} is not final after ${options.deadlineMs} ms: ${last}`);
    }
    await wait(pollMs);
  }
}

/** undefined: no answer, or 429 and 5xx, which only say that now is not the time. */
async function poll(apiUrl: string, batchId: string): Promise<BatchView | undefined> {
  try {
    const response = await fetch(`${apiUrl}/v1/batches/${batchId}`, {
      headers: { authorization: 'Bearer test' },
      signal: AbortSignal.timeout(pollTimeoutMs),
    });
    if (response.status === 429 || response.status >= 500) {
      await response.arrayBuffer();
      return undefined;
    }
    if (response.status !== 200) return { ...missing, id: batchId, status: `http ${response.status}` };
    return (await response.json()) as BatchView;
  } catch {
    return undefined;
  }
}

const missing = {
  request_counts: { total: 0, completed: 0, failed: 0 },
  output_file_id: null,
  error_file_id: null,
  errors: null,
};

/** Collects what must not be: moves against the order, counts that shrink, a final state that changes. */
class Judge {
  readonly statuses: string[] = [];
  readonly illegal: string[] = [];
  last: BatchView | undefined;

  see(view: BatchView): void {
    const { last } = this;
    if (last?.status !== view.status) this.statuses.push(view.status);
    if (laterStates[view.status] === undefined) this.illegal.push(`status ${view.status}`);
    if (last !== undefined) this.#compare(last, view);
    this.last = view;
  }

  #compare(last: BatchView, view: BatchView): void {
    if (view.status !== last.status && !(laterStates[last.status] ?? []).includes(view.status)) {
      this.illegal.push(`${last.status} → ${view.status}`);
    }
    const [before, now] = [last.request_counts, view.request_counts];
    for (const name of ['completed', 'failed'] as const) {
      if (now[name] < before[name]) this.illegal.push(`${name} ${before[name]} → ${now[name]}`);
    }
    if (before.total !== 0 && now.total !== before.total) this.illegal.push(`total ${before.total} → ${now.total}`);
    if (laterStates[last.status]?.length === 0 && JSON.stringify(now) !== JSON.stringify(before)) {
      this.illegal.push(`counts of a final batch ${JSON.stringify(before)} → ${JSON.stringify(now)}`);
    }
  }
}
