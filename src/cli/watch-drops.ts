import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { DropStatus, OutboxManifest, Receipt } from '../intake/index.ts';
import { outputKeysOf } from '../intake/index.ts';
import { type ObjectStore, prefixes } from '../storage/index.ts';
import { wordOf } from './batch-frame.ts';
import type { Progress, ProgressFrame, ProgressRow } from './progress.ts';

/** One dropped object and what is known of it. */
export interface WatchedDrop {
  readonly key: string;
  /** Of the version that was put: what is said of others is not meant. */
  readonly etag: string;
  receipt: Receipt | null;
  status: DropStatus | null;
  /** There when its results are complete. */
  manifest: OutboxManifest | null;
}

export interface DropWatchDeps {
  readonly store: ObjectStore;
  readonly progress: Progress;
  readonly clock: Clock;
  /** Aborts the watching. */
  readonly signal: AbortSignal;
  /** Told of every receipt and status once. */
  readonly onNews?: (news: DropNews) => void;
  /** How long no receipt may come at all. */
  readonly receiptWaitMs: number;
  /** @defaultValue 1,000, the pace at which status objects change */
  readonly pollMs?: number;
}

export type DropNews =
  | { readonly type: 'receipt'; readonly receipt: Receipt }
  | { readonly type: 'status'; readonly key: string; readonly status: DropStatus };

const readsAtOnce = 8;

/**
 * Reads receipts, status and outbox until every drop has ended.
 * @throws `transient.timeout` when nobody takes the drops up
 */
export async function watchDrops(deps: DropWatchDeps, drops: readonly WatchedDrop[]): Promise<void> {
  const { progress, clock, signal, pollMs = 1_000, receiptWaitMs } = deps;
  const startMs = clock.nowMs();
  try {
    for (;;) {
      const open = drops.filter((drop) => !hasEnded(drop));
      for (let start = 0; start < open.length; start += readsAtOnce) {
        await Promise.all(open.slice(start, start + readsAtOnce).map((drop) => refresh(deps, drop)));
      }
      progress.show(frameOfDrops(drops));
      if (drops.every(hasEnded)) return;
      const isTaken = drops.some(({ receipt }) => receipt !== null);
      if (!isTaken && clock.nowMs() - startMs >= receiptWaitMs) throw unanswered(receiptWaitMs);
      await clock.sleep(pollMs, signal);
    }
  } finally {
    progress.end();
  }
}

/** Refused, or its results are complete. */
export const hasEnded = ({ receipt, manifest }: WatchedDrop): boolean =>
  manifest !== null || (receipt !== null && receipt.state !== 'accepted');

export const isAnswered = ({ manifest }: WatchedDrop): boolean =>
  manifest !== null && manifest.status === 'completed' && manifest.totals.failed === 0;

async function refresh({ store, onNews = () => {} }: DropWatchDeps, drop: WatchedDrop): Promise<void> {
  const outputs = outputKeysOf(drop.key);
  const receipt = await loadJson<Receipt>(store, outputs.receipt);
  if (receipt === undefined || receipt.etag !== drop.etag) return;
  if (JSON.stringify(receipt) !== JSON.stringify(drop.receipt)) onNews({ type: 'receipt', receipt });
  drop.receipt = receipt;
  if (receipt.state !== 'accepted') return;
  const status = await loadJson<DropStatus>(store, outputs.status);
  if (status !== undefined && status.batch_id === receipt.batch_id && status.at !== drop.status?.at) {
    drop.status = status;
    onNews({ type: 'status', key: drop.key, status });
  }
  const manifest = await loadJson<OutboxManifest>(store, outputs.manifest);
  if (manifest !== undefined && manifest.batch_id === receipt.batch_id) drop.manifest = manifest;
}

/** These objects are replaced whole, so what is there can always be read. */
export async function loadJson<Value>(store: ObjectStore, key: string): Promise<Value | undefined> {
  const object = await store.get(key);
  return object === undefined ? undefined : (JSON.parse(Buffer.from(object.body).toString('utf8')) as Value);
}

function frameOfDrops(drops: readonly WatchedDrop[]): ProgressFrame {
  const done = drops.filter(hasEnded).length;
  const taken = drops.filter(({ receipt }) => receipt !== null).length;
  const refused = drops.filter(({ receipt }) => receipt !== null && receipt.state !== 'accepted').length;
  const detail = [`${taken} taken up`, ...(refused === 0 ? [] : [`${refused} refused`])];
  return {
    head: {
      label: drops.length === 1 ? (drops[0]?.key ?? '') : `${drops.length} documents`,
      state: done === drops.length ? 'done' : taken === 0 ? 'waiting for receipts' : 'in work',
      bar: { done, total: drops.length, unit: 'finished' },
      detail: detail.join(', '),
    },
    // what moves comes first: a terminal shows a few rows only
    rows: drops
      .filter((drop) => !hasEnded(drop))
      .flatMap(({ key, status }) => (status === null ? [] : [{ key, status }]))
      .sort((one, other) => Number(one.status.current === null) - Number(other.status.current === null))
      .map(({ key, status }) => rowOf(key, status)),
  };
}

function rowOf(key: string, { status, request_counts: counts, current, wait_reason }: DropStatus): ProgressRow {
  return {
    label: key.slice(prefixes.inbox.length),
    state: current === null ? status : wordOf(current.step),
    bar: { done: counts.completed + counts.failed, total: counts.total, unit: 'lines' },
    detail: current === null ? (wait_reason ?? '') : `${current.custom_id} at ${current.tokens} tokens`,
  };
}

const unanswered = (waitedMs: number): AppError =>
  new AppError(
    'transient.timeout',
    `no receipt within ${Math.round(waitedMs / 1_000)} s: no intake is running over this bucket; the documents stay there and are taken up when one runs (quire up)`,
  );
