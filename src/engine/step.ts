import { extendRows } from './extend-rows.ts';
import { roundRows } from './kv/latent-buffer.ts';
import type { PageSource } from './kv/page-source.ts';
import type { PrefixWindow, PrefixWindows } from './kv/prefix-window.ts';
import { blockRows, type ModelRunner } from './ports.ts';
import { RowWalk } from './row-walk.ts';
import type { Sequence } from './sequence.ts';

/** Computes the next rows of a window, at most `tokens`, or the runner's least number of them. Returns how many. */
export async function advanceWindow(
  runner: ModelRunner,
  windows: PrefixWindows,
  window: PrefixWindow,
  tokens: number,
): Promise<number> {
  const start = window.readyRows;
  const chunk = window.tokenIds.subarray(start, start + promptRowsOf(runner, tokens));
  await extendRows(runner, window.buffer, chunk, start, { wanted: 0, head: false, isPrompt: true });
  windows.advance(window, start + chunk.length);
  return chunk.length;
}

/** At most `tokens` rows of a prompt, or the least number that can be computed. */
function promptRowsOf({ promptStep }: ModelRunner, tokens: number): number {
  return promptStep === null ? tokens : Math.max(1, Math.floor(tokens / promptStep)) * promptStep;
}

export interface MemberStep {
  /** Rows computed, drafted ones included and padding not. */
  readonly tokens: number;
  /** The same with padding. */
  readonly rows: number;
  /** Of each member. */
  readonly walks: readonly RowWalk[];
}

/**
 * New rows of a member that one run may have. Rows of answers, and a last row of a prompt whose logits are wanted, read
 * blocks before their own in INT8, so for equal bits whatever the schedule these must be there when the run begins: rows
 * of answers end with their block, and those of a prompt before its last one.
 */
function rowsTogether({ promptStep, rounding }: ModelRunner, { rows, tokens }: Sequence, isPrompt: boolean): number {
  if (promptStep === null || rounding === null) return Number.POSITIVE_INFINITY;
  const blockOf = (row: number): number => Math.floor(row / blockRows);
  const last = blockOf(tokens.length - 1);
  const end = isPrompt && blockOf(rows) < last ? last : blockOf(rows) + 1;
  return end * blockRows - rows;
}

/**
 * Computes pending rows of sequences behind one window in one run: of each as many as fit into the width of the run, which
 * is the most that is pending and that `most` allows. Drafted tokens go behind those of a member of which nothing more is
 * pending.
 * @param drafts of each member
 */
export async function advanceMembers(
  runner: ModelRunner,
  pages: PageSource,
  members: readonly Sequence[],
  most: number,
  drafts: readonly (readonly number[])[],
): Promise<MemberStep> {
  const [first] = members;
  if (first === undefined || first.residence === null) return { tokens: 0, rows: 0, walks: [] };
  const { window, own } = first.residence;
  const promptRows = first.pendingPromptRows;
  const width =
    promptRows > 0
      ? Math.min(promptRowsOf(runner, most), promptRows)
      : Math.min(most, Math.max(...members.map(({ pendingTotal }) => pendingTotal)));
  const parts = members.map((member, index) => {
    const together = rowsTogether(runner, member, promptRows > 0);
    const pending = member.tokens.slice(member.rows, member.rows + Math.min(width, together));
    const isComplete = pending.length === member.pendingTotal;
    // of the last token of an answer no row is needed
    const mostDrafted = Math.max(0, Math.min(together - pending.length, member.answer.remainingTokens - 1));
    const draft = isComplete ? (drafts[index] ?? []).slice(0, mostDrafted) : [];
    return {
      tokenIds: [...pending, ...draft],
      start: member.rows,
      wanted: isComplete ? 1 + draft.length : 0,
      pending: pending.length,
    };
  });
  const isWanted = parts.some(({ wanted }) => wanted > 0);
  const readsBlocks = isWanted || promptRows === 0;
  const padded = Math.max(...parts.map(({ tokenIds }) => tokenIds.length));
  const ownRows = parts.map(({ start }) => start - window.rows);
  const wholeBlocks = ownRows.map((rows) => Math.floor(rows / blockRows));
  const output = await runner.run({
    sequences: parts,
    prefix: window.buffer.view(window.rows),
    prefixRows: window.rows,
    isPrefixFinal: true,
    rounded: readsBlocks ? await window.rounded() : null,
    ownBlocks: readsBlocks ? await own.rounded(window.key, members, wholeBlocks) : null,
    suffix: own.layers,
    suffixRows: roundRows(Math.max(...ownRows) + padded),
    suffixBlocks: members.map((member) => own.blocksOf(member)),
    isPrompt: promptRows > 0,
    head: isWanted,
  });
  const { vocabularySize, latentWidth } = runner;
  const latents = { all: output.latents, total: members.length, padded, width: latentWidth };
  let wantedBefore = 0;
  const walks = parts.map(({ tokenIds, pending, wanted }, index) => {
    const from = wantedBefore * vocabularySize;
    wantedBefore += wanted;
    const logits = output.logits.subarray(from, wantedBefore * vocabularySize);
    const computed = { tokenIds, pending, wanted, logits, latents: { ...latents, index } };
    return new RowWalk(members[index] as Sequence, computed, pages);
  });
  const tokens = parts.reduce((sum, { tokenIds }) => sum + tokenIds.length, 0);
  for (const walk of walks) if (!walk.isSpoiled) walk.storePending();
  return { tokens, rows: padded * members.length, walks };
}
