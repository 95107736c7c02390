import type { EmbedTask } from '../embed-task.ts';
import type { PrefixWindow } from '../kv/prefix-window.ts';
import type { Sequence } from '../sequence.ts';
import type { Residents } from './residents.ts';
import { compareUrgency, type PrefillJob } from './urgency.ts';

export type PrefillTarget =
  | (PrefillJob & { readonly type: 'window'; readonly window: PrefixWindow; readonly users: readonly Sequence[] })
  | (PrefillJob & { readonly type: 'member'; readonly sequence: Sequence })
  | (PrefillJob & { readonly type: 'embed'; readonly task: EmbedTask });

/** Everything that could be prefilled now. A window is as urgent as the most urgent sequence that waits for it. */
export function listPrefillJobs(residents: Residents, embeds: Iterable<EmbedTask>): readonly PrefillTarget[] {
  const jobs: PrefillTarget[] = [];
  const waiting = new Map<PrefixWindow, Sequence[]>();
  for (const sequence of residents.members) {
    const { residence } = sequence;
    if (residence === null || residence.window.isLoading) continue;
    if (!residence.window.isReady) {
      const users = waiting.get(residence.window);
      if (users === undefined) waiting.set(residence.window, [sequence]);
      else users.push(sequence);
    } else if (isPrefilling(sequence)) {
      jobs.push({ type: 'member', sequence, ...urgencyOf(sequence), remainingTokens: sequence.pendingTotal });
    }
  }
  for (const [window, users] of waiting) {
    const [first] = users.toSorted(compareUrgency);
    if (first === undefined) continue;
    jobs.push({ type: 'window', window, users, ...urgencyOf(first), remainingTokens: window.rows - window.readyRows });
  }
  for (const task of embeds) {
    jobs.push({ type: 'embed', task, ...urgencyOf(task), remainingTokens: task.remainingTokens });
  }
  return jobs;
}

function urgencyOf({ priority, deadlineMs, arrival }: Sequence | EmbedTask) {
  return { priority, deadlineMs, arrival };
}

function isPrefilling(sequence: Sequence): boolean {
  const { residence } = sequence;
  return residence !== null && !residence.isLoading && !residence.isDecoding;
}

/**
 * The sequence and others behind the same window that can run with it: padded to the longest, they stay within `tokens`.
 */
export function gatherNeighbours(sequence: Sequence, members: Iterable<Sequence>, tokens: number): readonly Sequence[] {
  const chosen = [sequence];
  if (sequence.pendingPromptRows > 0) return chosen;
  let width = sequence.pendingTotal;
  for (const other of members) {
    const isNeighbour = other !== sequence && other.residence?.window === sequence.residence?.window;
    if (!isNeighbour || !isPrefilling(other) || other.pendingPromptRows > 0) continue;
    const wider = Math.max(width, other.pendingTotal);
    if (wider * (chosen.length + 1) > tokens) continue;
    width = wider;
    chosen.push(other);
  }
  return chosen;
}

/** A quarter of the step stays for prefill, however many sequences decode. */
const leastShare = 4;

/** Tokens that prefill may have in a round that has decoded so many already. */
export function prefillShare(stepTokens: number, decodedTokens: number): number {
  return Math.max(Math.ceil(stepTokens / leastShare), stepTokens - decodedTokens);
}
