import type { Clock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import type { ObjectHead } from '../storage/index.ts';
import type { AdmissionDeps } from './admit-drop.ts';
import type { DropRecord } from './drop.schema.ts';
import type { Drop } from './drop.ts';
import type { DropLedger, Versioned } from './drop-ledger.ts';
import { type DropSource, judgeDrop } from './judge-drop.ts';

export interface Decision {
  readonly record: Versioned<DropRecord>;
  /** Set when the drop was judged just now and accepted. */
  readonly source: DropSource | null;
}

type DecisionDeps = AdmissionDeps & { readonly ledger: DropLedger; readonly clock: Clock };

const maxRaces = 20;

/**
 * Makes the key's record speak of this version, if the object still is this version.
 *
 * The record is read before the object is looked at and swapped after: whoever is late loses the swap and sees the newer
 * version at the next look.
 * @returns undefined when the object is gone or another one, and nothing was decided about this version
 */
export async function decideRecord(
  deps: DecisionDeps,
  drop: Drop,
  readyMs: number | null,
): Promise<Decision | undefined> {
  const { store, ledger } = deps;
  for (let race = 0; race < maxRaces; race++) {
    const before = await ledger.findRecord(drop.key);
    const mine = before?.value.etag === drop.etag ? before : undefined;
    if (mine?.value.state === 'claimed' || mine?.value.state === 'quarantined') return { record: mine, source: null };
    const head = await store.head(drop.key);
    if (head === undefined || head.etag !== drop.etag || head.bytes === 0) {
      return mine?.value.state === 'rejected' ? { record: mine, source: null } : undefined;
    }
    const judged = await judgeHead(deps, drop, head);
    if (judged === undefined) return undefined;
    const next = buildRecord(drop, head, judged, { before, readyMs, atMs: deps.clock.nowMs() });
    const { source } = judged;
    if (mine?.value.state === next.state && mine.value.judged_by === next.judged_by) return { record: mine, source };
    const saved = await ledger.saveRecord(next, before);
    if (saved !== undefined) return { record: saved, source };
  }
  throw new AppError(
    'transient.store-error',
    `record of ${JSON.stringify(drop.key)} changed ${maxRaces} times in a row`,
  );
}

function buildRecord(
  drop: Drop,
  head: ObjectHead,
  { state, reason, judgedBy }: Judged,
  more: { readonly before: Versioned<DropRecord> | undefined; readonly readyMs: number | null; readonly atMs: number },
): DropRecord {
  const { before, readyMs, atMs } = more;
  // nothing is written about a key that is new; what is written about another version has to go
  const cleared = before === undefined || (before.value.etag === drop.etag && before.value.cleared);
  return {
    version: 1,
    key: drop.key,
    etag: drop.etag,
    size: head.bytes,
    state,
    reason,
    judged_by: judgedBy,
    cleared,
    ready_ms: readyMs,
    at_ms: atMs,
  };
}

interface Judged {
  readonly state: 'claimed' | 'rejected';
  readonly reason: string | null;
  readonly judgedBy: string;
  readonly source: DropSource | null;
}

async function judgeHead(deps: DecisionDeps, drop: Drop, head: ObjectHead): Promise<Judged | undefined> {
  const verdict = await judgeDrop(deps.store, deps.rules, drop, head);
  switch (verdict.type) {
    case 'changed':
      return undefined;
    case 'accepted':
      return { state: 'claimed', reason: null, judgedBy: verdict.judgedBy, source: verdict.source };
    case 'rejected':
      return { state: 'rejected', reason: verdict.reason, judgedBy: verdict.judgedBy, source: null };
  }
}
