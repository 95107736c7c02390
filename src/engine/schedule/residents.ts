import { invariant } from '../../base/invariant.ts';
import type { BlockBudget } from '../kv/block-budget.ts';
import type { PageSource } from '../kv/page-source.ts';
import { type PrefixWindow, PrefixWindows, type WindowShape } from '../kv/prefix-window.ts';
import { type BlockLender, Slab, slabBlocks, slabRows } from '../kv/slab.ts';
import { blockRows } from '../ports.ts';
import type { Sequence } from '../sequence.ts';
import { compareUrgency } from './urgency.ts';

export interface ResidentsDeps {
  readonly shape: WindowShape;
  /** Own rows come in multiples of it. */
  readonly rowStep: number;
  readonly budget: BlockBudget;
  readonly pages: PageSource;
  /** Pages that were being read have arrived. */
  readonly onLoaded: () => void;
}

/**
 * The sequences that have memory: each holds a window and a place in a slab of that window.
 *
 * M1 Memory is taken before it is needed: a sequence is admitted with its whole prefix and room for every token it has.
 * M2 Growing may cost others their place, never one that is more urgent; the most urgent one always finds room, since
 *    no request is accepted that would not fit alone.
 * M3 What a sequence loses with its place can be computed again from its tokens, to the same bits.
 */
export class Residents {
  readonly windows: PrefixWindows;
  readonly #deps: ResidentsDeps;
  readonly #lender: BlockLender;
  readonly #members = new Set<Sequence>();
  readonly #slabs = new Map<string, Slab<Sequence>>();

  constructor(deps: ResidentsDeps) {
    this.#deps = deps;
    this.windows = new PrefixWindows(deps.shape, deps.budget, deps.pages, deps.onLoaded);
    this.#lender = {
      take: (owner, blocks) => this.windows.reserve(owner, blocks),
      give: (owner, blocks) => deps.budget.give(owner, blocks),
      heldBy: (owner) => deps.budget.heldBy(owner),
    };
  }

  get members(): ReadonlySet<Sequence> {
    return this.#members;
  }

  get slabs(): readonly Slab<Sequence>[] {
    return [...this.#slabs.values()];
  }

  /** Takes blocks for somebody who is no sequence; false, with nothing changed, when there is no room. */
  reserve(owner: string, blocks: number): boolean {
    return this.windows.reserve(owner, blocks) || (this.#trim() && this.windows.reserve(owner, blocks));
  }

  /** Gives a sequence its window and its slot; false, with nothing changed, when there is no room. */
  admit(sequence: Sequence): boolean {
    const names = sequence.prefixNames;
    const fits = (): boolean => {
      const blocks = this.windows.blocksFor(names) + this.#slabBlocks(names.at(-1) ?? '', sequence.ownRows);
      return blocks <= this.windows.available;
    };
    if (!fits() && !(this.#trim() && fits())) return false;
    const window = this.windows.acquire(names, sequence.tokens);
    if (window === null) return false;
    const slab = this.#slab(window.key, sequence.ownRows);
    if (!slab.add(sequence)) {
      this.windows.release(window);
      this.#dropEmpty();
      return false;
    }
    sequence.residence = { window, slab, isLoading: false };
    this.#members.add(sequence);
    this.#takeOwnPages(sequence);
    return true;
  }

  /** Makes room for all tokens of a resident, at the cost of others or of itself; returns who lost its place. */
  grow(sequence: Sequence): readonly Sequence[] {
    const lost: Sequence[] = [];
    for (;;) {
      const { residence } = sequence;
      if (residence === null || sequence.ownRows <= residence.slab.rows) return lost;
      const target = this.#slab(residence.window.key, sequence.ownRows);
      const wasDecoding = residence.slab.isDecoding(sequence);
      const from = residence.slab;
      if (from.moveTo(target, sequence)) {
        sequence.residence = { ...residence, slab: target };
        if (wasDecoding) target.promote(sequence);
        this.#dropEmpty();
        return lost;
      }
      if (this.#trim()) continue;
      const victim = this.leastUrgent();
      invariant(victim !== undefined && (victim !== sequence || this.#members.size > 1), 'one sequence fits alone');
      this.release(victim);
      lost.push(victim);
    }
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
    residence.slab.remove(sequence);
    this.windows.release(residence.window);
    sequence.residence = null;
    sequence.rows = sequence.encoded.splitRows;
    this.#members.delete(sequence);
    this.#dropEmpty();
  }

  checkIntegrity(): void {
    const users = new Map<PrefixWindow, number>();
    for (const { residence } of this.#members) {
      invariant(residence !== null, 'a resident has a place');
      users.set(residence.window, (users.get(residence.window) ?? 0) + 1);
    }
    let placed = 0;
    for (const slab of this.#slabs.values()) {
      slab.checkIntegrity();
      placed += slab.members.length;
      for (const member of slab.members) {
        invariant(this.#members.has(member) && member.residence?.slab === slab, 'a member of a slab lives in it');
      }
    }
    invariant(placed === this.#members.size, `${placed} places for ${this.#members.size} sequences`);
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
    sequence.residence?.slab.storePage(sequence, sequence.rows - sequence.encoded.splitRows, page);
    sequence.rows += blockRows;
  }

  #slabBlocks(windowKey: string, ownRows: number): number {
    const rows = slabRows(ownRows, this.#deps.rowStep);
    return this.#slabs.get(slabKey(windowKey, rows))?.blocksForOneMore ?? slabBlocks({ ...this.#deps.shape, rows }, 1);
  }

  #slab(windowKey: string, ownRows: number): Slab<Sequence> {
    const rows = slabRows(ownRows, this.#deps.rowStep);
    const key = slabKey(windowKey, rows);
    const known = this.#slabs.get(key);
    if (known !== undefined) return known;
    const slab = new Slab<Sequence>({ ...this.#deps.shape, rows }, this.#lender, `slab ${key}`);
    this.#slabs.set(key, slab);
    return slab;
  }

  /** Gives back slots that nobody has; false when there are none. */
  #trim(): boolean {
    let didTrim = false;
    for (const slab of this.#slabs.values()) if (slab.trim()) didTrim = true;
    return didTrim;
  }

  #dropEmpty(): void {
    for (const [key, slab] of this.#slabs) if (slab.members.length === 0) this.#slabs.delete(key);
  }
}

function slabKey(windowKey: string, rows: number): string {
  return `${windowKey} ${rows}`;
}
