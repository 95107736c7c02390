import { invariant } from '../../base/invariant.ts';
import type { BlockBudget } from '../kv/block-budget.ts';
import { OwnRows } from '../kv/own-rows.ts';
import type { RoundedShape } from '../kv/page-shape.ts';
import type { PageSource } from '../kv/page-source.ts';
import { type PrefixWindow, PrefixWindows } from '../kv/prefix-window.ts';
import { blockRows } from '../ports.ts';
import type { Sequence } from '../sequence.ts';
import { compareUrgency } from './urgency.ts';

export interface ResidentsDeps {
  readonly shape: RoundedShape;
  readonly budget: BlockBudget;
  readonly pages: PageSource;
  /** Pages that were being read have arrived. */
  readonly onLoaded: () => void;
}

/**
 * The sequences that have memory: each holds a window and blocks for rows of its own.
 *
 * M1 Memory is taken before it is needed: a sequence is admitted with its whole prefix and room for every token it has.
 * M2 Growing may cost others their place, never one that is more urgent; the most urgent one always finds room, since
 *    no request is accepted that would not fit alone.
 * M3 What a sequence loses with its place can be computed again from its tokens, to the same bits.
 */
export class Residents {
  readonly windows: PrefixWindows;
  readonly #deps: ResidentsDeps;
  readonly #own: OwnRows<Sequence>;
  readonly #members = new Set<Sequence>();

  constructor(deps: ResidentsDeps) {
    this.#deps = deps;
    this.windows = new PrefixWindows(deps.shape, deps.budget, deps.pages, deps.onLoaded);
    this.#own = new OwnRows(deps.shape, {
      take: (owner, blocks) => this.windows.reserve(owner, blocks),
      give: (owner, blocks) => deps.budget.give(owner, blocks),
      heldBy: (owner) => deps.budget.heldBy(owner),
    });
  }

  get members(): ReadonlySet<Sequence> {
    return this.#members;
  }

  /** Those that decode, by the window they read: one run has all of a window. */
  get decoding(): readonly (readonly Sequence[])[] {
    const groups = new Map<PrefixWindow, Sequence[]>();
    for (const member of this.#members) {
      const { residence } = member;
      if (residence === null || !residence.isDecoding) continue;
      const group = groups.get(residence.window);
      if (group === undefined) groups.set(residence.window, [member]);
      else group.push(member);
    }
    return [...groups.values()];
  }

  /** Takes blocks for somebody who is no sequence; false, with nothing changed, when there is no room. */
  reserve(owner: string, blocks: number): boolean {
    return this.windows.reserve(owner, blocks);
  }

  /** Gives a sequence its window and room for its rows; false, with nothing changed, when there is not enough. */
  admit(sequence: Sequence): boolean {
    const names = sequence.prefixNames;
    const { ownRows } = sequence;
    if (this.windows.blocksFor(names) + this.#own.blocksFor(ownRows) > this.windows.available) return false;
    const window = this.windows.acquire(names, sequence.tokens);
    if (window === null) return false;
    if (!this.#own.reserve(sequence, ownRows)) {
      this.windows.release(window);
      return false;
    }
    sequence.residence = { window, own: this.#own, isDecoding: false, isLoading: false };
    this.#members.add(sequence);
    this.#takeOwnPages(sequence);
    return true;
  }

  /** Makes room for all tokens of a resident, at the cost of others or of itself; returns who lost its place. */
  grow(sequence: Sequence): readonly Sequence[] {
    const lost: Sequence[] = [];
    while (sequence.residence !== null && !this.#own.reserve(sequence, sequence.ownRows)) {
      const victim = this.leastUrgent();
      invariant(victim !== undefined && (victim !== sequence || this.#members.size > 1), 'one sequence fits alone');
      this.release(victim);
      lost.push(victim);
    }
    return lost;
  }

  leastUrgent(): Sequence | undefined {
    let last: Sequence | undefined;
    for (const member of this.#members) if (last === undefined || compareUrgency(last, member) < 0) last = member;
    return last;
  }

  /** Takes a sequence's memory away. */
  release(sequence: Sequence): void {
    const { residence } = sequence;
    invariant(residence !== null, 'a sequence without a place is released');
    this.#own.remove(sequence);
    this.windows.release(residence.window);
    sequence.residence = null;
    sequence.rows = sequence.encoded.splitRows;
    this.#members.delete(sequence);
  }

  checkIntegrity(): void {
    const users = new Map<PrefixWindow, number>();
    for (const { residence } of this.#members) {
      invariant(residence !== null, 'a resident has a place');
      users.set(residence.window, (users.get(residence.window) ?? 0) + 1);
    }
    this.#own.checkIntegrity(this.#members);
    this.windows.checkIntegrity(users);
    this.#deps.budget.checkIntegrity();
  }

  /** Own blocks that are pages already: another turn of the same conversation, or this sequence before it lost its place. */
  #takeOwnPages(sequence: Sequence): void {
    const { pages } = this.#deps;
    const names = sequence.pageNames;
    // the last token is never taken from a page: its logits are wanted
    const limit = Math.floor((sequence.tokens.length - 1) / blockRows);
    let next = sequence.rows / blockRows;
    for (; next < limit; next++) {
      const page = pages.read(names[next] ?? '');
      if (page === undefined) break;
      this.#storeOwn(sequence, page);
    }
    const { residence } = sequence;
    if (residence === null || next >= limit || !pages.hasBelow(names[next] ?? '')) return;
    residence.isLoading = true;
    const load = pages.loadBelow(names.slice(0, limit), next, (page) => {
      // it may have lost its place, and even found another, while the page was read
      if (sequence.residence !== residence) return false;
      this.#storeOwn(sequence, page);
      return true;
    });
    void load.finally(() => {
      residence.isLoading = false;
      this.#deps.onLoaded();
    });
  }

  #storeOwn(sequence: Sequence, page: Float32Array): void {
    sequence.residence?.own.storePage(sequence, sequence.rows - sequence.encoded.splitRows, page);
    sequence.rows += blockRows;
  }
}
