import { extendRows } from './extend-rows.ts';
import type { PageSource } from './kv/page-source.ts';
import type { PrefixWindow, PrefixWindows } from './kv/prefix-window.ts';
import type { Slab } from './kv/slab.ts';
import { blockRows, type ModelRunner } from './ports.ts';
import type { Sequence } from './sequence.ts';

/** Computes the next rows of a window, at most `tokens`. Returns how many. */
export async function advanceWindow(
  runner: ModelRunner,
  windows: PrefixWindows,
  window: PrefixWindow,
  tokens: number,
): Promise<number> {
  const start = window.readyRows;
  const chunk = window.tokenIds.subarray(start, start + tokens);
  await extendRows(runner, window.buffer, chunk, start, { wanted: 0, head: false });
  windows.advance(window, start + chunk.length);
  return chunk.length;
}

/** A sequence whose last token has been computed, with the logits of what follows: `[vocabularySize]`. */
export interface Scored {
  readonly sequence: Sequence;
  readonly logits: Float32Array;
}

export interface MemberStep {
  readonly tokens: number;
  readonly scored: readonly Scored[];
}

/**
 * Computes pending rows of neighbours in a slab in one run: of each as many as fit into the width of the run, which is
 * the most that is pending, that `most` allows and that the slab has room for.
 */
export async function advanceMembers(
  runner: ModelRunner,
  pages: PageSource,
  slab: Slab<Sequence>,
  members: readonly Sequence[],
  most: number,
): Promise<MemberStep> {
  const window = members[0]?.residence?.window;
  if (window === undefined) return { tokens: 0, scored: [] };
  const room = Math.min(...members.map(({ rows }) => slab.rows - (rows - window.rows)));
  const width = Math.min(most, room, Math.max(...members.map(({ pendingTotal }) => pendingTotal)));
  const chunks = members.map((member) => member.tokens.slice(member.rows, member.rows + width));
  const completes = members.map((member, index) => chunks[index]?.length === member.pendingTotal);
  const output = await runner.run({
    sequences: members.map(({ rows }, index) => ({
      tokenIds: chunks[index] ?? [],
      start: rows,
      wanted: completes[index] === true ? 1 : 0,
    })),
    prefix: window.buffer.view(window.rows),
    prefixRows: window.rows,
    suffix: slab.view(members[0]?.slot ?? 0, members.length),
    suffixRows: slab.rows,
    head: completes.includes(true),
  });
  const padded = Math.max(...chunks.map(({ length }) => length));
  const scored: Scored[] = [];
  let tokens = 0;
  for (const [index, sequence] of members.entries()) {
    const total = chunks[index]?.length ?? 0;
    tokens += total;
    const own = sequence.rows - window.rows;
    slab.store(sequence, own, total, { latents: output.latents, index, total: members.length, padded });
    sequence.rows += total;
    keepOwnPages(pages, slab, sequence, own, own + total);
    if (completes[index] !== true) continue;
    const at = scored.length * runner.vocabularySize;
    scored.push({ sequence, logits: output.logits.subarray(at, at + runner.vocabularySize) });
  }
  return { tokens, scored };
}

/** Blocks of its own that became full become pages: the next turn of a conversation begins with them. */
function keepOwnPages(
  pages: PageSource,
  slab: Slab<Sequence>,
  sequence: Sequence,
  before: number,
  after: number,
): void {
  const first = Math.floor(before / blockRows) * blockRows;
  for (let row = first; row + blockRows <= after; row += blockRows) {
    const index = (sequence.encoded.splitRows + row) / blockRows;
    const name = sequence.pageNames[index];
    if (name === undefined) return;
    pages.keep(name, sequence.pageNames[index - 1] ?? null, () => slab.copyPage(sequence, row));
  }
}
