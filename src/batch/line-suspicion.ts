import { keys, type ObjectStore } from '../storage/index.ts';
import { decodeLogEntry } from './log-entry.ts';
import type { LineResult, LogEntry, PlannedUnit } from './records.schema.ts';

/**
 * Which line of a unit ends the processes that run it. The engine's client finds lines that end engine processes; this
 * is about lines that end the worker itself, of which only the unit's log is left to tell.
 *
 * Q1. A claim followed by a claim of another owner, with nothing written in between but that a line begins alone, and no
 *     sign of life of its owner later, ended without a word: a death. Workers that stop in order write a segment, at
 *     least an empty one.
 * Q2. After `sharedDeaths` claims without progress a unit's lines run one at a time, in the order of the plan, until
 *     there is progress; each with nothing else beside it in its worker, not even lines of other units. Its log says
 *     when it begins so. A death behind that has one suspect; a death before it has none.
 * Q3. A line is set aside when the last `deaths` owners in a row died behind such a beginning of it, with no progress
 *     in between. One that died before the line began shows that owners also die without it: the count starts over.
 * Q4. Progress of any owner since clears the line: a result, or a checkpoint that is longer than those before. The
 *     first tokens of a line that runs alone are saved at once, so that a kill from outside must meet it in the first
 *     moments of its life, time and again, to look like a death by it.
 */
export interface LineDeath {
  readonly owner: string;
  readonly epoch: number;
  readonly claimedMs: number;
  /** When the next owner took the unit over. */
  readonly replacedMs: number;
}

export interface Suspicion {
  /** The line; null when all lines have a result and the owners die at the unit's end. */
  readonly lineIndex: number | null;
  readonly deaths: readonly LineDeath[];
}

/** Claims without progress after which lines run one at a time. */
export const sharedDeaths = 2;

/** Must lines run with nothing beside them under a claim that is the n-th in a row without progress (itself counted)? */
export const mustRunAlone = (stuckClaims: number): boolean => stuckClaims > sharedDeaths;

/** Lines at the same time under a claim that is the n-th in a row without progress (itself counted). */
export function laneTotal(lineConcurrency: number, stuckClaims: number): number {
  return mustRunAlone(stuckClaims) ? 1 : lineConcurrency;
}

/** Fewer claims without progress than this cannot convict anybody: shared ones, those alone, and the one that runs now. */
export const minStuckClaims = (deaths: number): number => sharedDeaths + deaths + 1;

export interface TimedEntry {
  readonly entry: LogEntry;
  readonly atMs: number;
}

interface Claim extends Omit<LineDeath, 'replacedMs'> {
  /** After so many claims without progress that lines run alone. */
  readonly isStuck: boolean;
  /** Index of the line that began with nothing beside it; null: none had yet. */
  readonly alone: number | null;
}

/** Pure: what the log of a unit says about its lines; null while nobody is convicted. */
export function findSuspect(log: readonly TimedEntry[], unit: PlannedUnit, deaths: number): Suspicion | null {
  const folded = foldClaims(log);
  if (folded === null) return null;
  const { claims, finished } = folded;
  // the last claim may well be at work
  const dead = claims.flatMap(({ isStuck, alone, ...claim }, place) => {
    const next = claims[place + 1];
    return next === undefined || !isStuck ? [] : [{ alone, death: { ...claim, replacedMs: next.claimedMs } }];
  });
  const open = unit.lines.find(({ index }) => !finished.has(index))?.index ?? null;
  const last = dead.slice(-deaths);
  // without a line left, what ends the owners is the end of the unit
  if (last.length < deaths || last.some(({ alone }) => alone !== open)) return null;
  return { lineIndex: open, deaths: last.map(({ death }) => death) };
}

/** Claims in a row with nothing in between, each owner's last only; null for a unit that is sealed. */
function foldClaims(
  log: readonly TimedEntry[],
): { readonly claims: readonly Claim[]; readonly finished: ReadonlySet<number> } | null {
  const finished = new Set<number>();
  let stuck = 0;
  let bestTokens = 0;
  let claims: Claim[] = [];
  for (const { entry, atMs } of log) {
    if (entry.type === 'seal') return null;
    if (entry.type === 'claim') {
      const { owner, epoch } = entry;
      stuck += 1;
      claims = claims.filter((claim) => claim.owner !== owner);
      claims.push({ owner, epoch, claimedMs: atMs, isStuck: mustRunAlone(stuck), alone: null });
      continue;
    }
    const { results, checkpoint, alone } = entry;
    const last = claims.at(-1);
    if (alone !== undefined && last !== undefined) {
      claims[claims.length - 1] = { ...last, alone };
      continue;
    }
    const tokens = checkpoint?.tokens ?? 0;
    const isProgress = results.length > 0 || tokens > bestTokens;
    // as in the unit log: finished lines leave the checkpoints, so the next one may be shorter
    bestTokens = results.length > 0 ? 0 : Math.max(bestTokens, tokens);
    for (const { index } of results) finished.add(index);
    if (isProgress) stuck = 0;
    // a checkpoint that is not longer was written by an owner that may die all the same, at the same place again
    if (isProgress || checkpoint === undefined) claims = [];
  }
  return { claims, finished };
}

/** Reads a unit's log with its times. @throws `corrupt.*`, `transient.*` */
export async function readTimedLog(
  store: ObjectStore,
  { tenant, batchId, unitId }: { readonly tenant: string; readonly batchId: string; readonly unitId: string },
): Promise<readonly TimedEntry[]> {
  const log: TimedEntry[] = [];
  for (let slot = 0; ; slot++) {
    const key = keys.unitSlot(tenant, batchId, unitId, slot);
    const object = await store.get(key);
    if (object === undefined) return log;
    log.push({ entry: decodeLogEntry(object.body, key), atMs: object.lastModifiedMs });
  }
}

/** The error line of a line that was set aside, with the evidence. */
export function buildQuarantinedResult(
  { index, custom_id: customId }: { readonly index: number; readonly custom_id: string },
  lineToken: string,
  deaths: readonly LineDeath[],
): LineResult {
  const error = {
    code: 'line_quarantined',
    message: `This request was set aside: ${deaths.length} workers in a row ended without a word while they ran it and nothing else.`,
    ext: {
      evidence: deaths.map(({ owner, epoch, claimedMs, replacedMs }) => ({
        owner,
        epoch,
        claimed_at: new Date(claimedMs).toISOString(),
        replaced_at: new Date(replacedMs).toISOString(),
        ended: 'without a word: nothing was written between the beginning of this line and the next owner',
      })),
    },
  };
  return {
    index,
    outcome: 'failed',
    output: { id: `batch_req_${lineToken}`, custom_id: customId, response: null, error },
  };
}
