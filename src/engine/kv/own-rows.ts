import { invariant } from '../../base/invariant.ts';
import { blockRows, type LatentLayers, type OwnBlocks } from '../ports.ts';
import type { BlockBudget } from './block-budget.ts';
import { BlockPlaces } from './block-places.ts';
import { GrowingRows } from './growing-rows.ts';
import { blocksInInt8, type RoundedShape } from './page-shape.ts';
import { RoundedBlocks } from './rounded-blocks.ts';

/** Who keeps the count of blocks. */
export type BlockLender = Pick<BlockBudget, 'take' | 'give' | 'heldBy'>;

/** New rows of one sequence among those of all sequences of a run. */
export interface RunRows {
  /** [layers, total, padded, width] */
  readonly latents: Float32Array;
  /** Of the sequence. */
  readonly index: number;
  /** Sequences. */
  readonly total: number;
  /** Rows of each. */
  readonly padded: number;
}

const owner = 'own rows';

/**
 * The own rows of all sequences, in blocks that lie anywhere in one array a layer: a run reads those of any sequences, as
 * long or short as they are, and a sequence grows by a block without being moved.
 *
 * O1 The budget's blocks held are those of all members, and in INT8 as many as they may have whole.
 * O2 Of an earlier member's rows a later one sees nothing: a run reads rows that were never written too, masked, and NaN
 *    times zero is NaN.
 */
export class OwnRows<Member extends object> {
  readonly #shape: RoundedShape;
  readonly #budget: BlockLender;
  readonly #places = new BlockPlaces<Member>();
  readonly #rows: GrowingRows;
  /** Of each group of members: a run reads one group, and what lies between its blocks is computed in vain. */
  readonly #rounded = new Map<string, RoundedBlocks<Member>>();
  /** Blocks that may be read in INT8: of each member all but its last. */
  #roundable = 0;

  constructor(shape: RoundedShape, budget: BlockLender) {
    this.#shape = shape;
    this.#budget = budget;
    this.#rows = new GrowingRows(shape);
  }

  /** `[blocks · 256, width]` a layer; the same arrays until blocks come or go. */
  get layers(): LatentLayers {
    return this.#rows.layers;
  }

  /** Blocks of a member among those of `layers`, in the order of its rows. */
  blocksOf(member: Member): readonly number[] {
    return this.#places.of(member);
  }

  /** Rows that a member has room for. */
  roomOf(member: Member): number {
    return this.blocksOf(member).length * blockRows;
  }

  /** Of the ledger, at most, for a new member with so many rows. */
  blocksFor(rows: number): number {
    const blocks = wholeBlocks(rows);
    return blocks + blocksInInt8(this.#shape, blocks - 1);
  }

  /** Makes room for `rows` rows of a member. False, with nothing changed, when the budget has none. */
  reserve(member: Member, rows: number): boolean {
    const before = this.blocksOf(member).length;
    const added = wholeBlocks(rows) - before;
    if (added <= 0) return true;
    const roundable = this.#roundable + added - (before === 0 ? 1 : 0);
    if (!this.#budget.take(owner, this.#held(this.#places.total + added, roundable) - this.#heldNow)) return false;
    this.#roundable = roundable;
    for (let block = 0; block < added; block++) this.#places.add(member);
    this.#rows.resize(this.#places.total);
    return true;
  }

  /** Takes a member out; its rows are gone. */
  remove(member: Member): void {
    const blocks = this.blocksOf(member).length;
    invariant(blocks > 0, 'a member without blocks is removed');
    const before = this.#heldNow;
    for (const [group, rounded] of this.#rounded) {
      rounded.remove(member);
      if (rounded.total === 0) this.#rounded.delete(group);
    }
    this.#places.remove(member, (from, to) => this.#rows.move(from, to));
    this.#rows.resize(this.#places.total);
    this.#roundable -= blocks - 1;
    this.#budget.give(owner, before - this.#heldNow);
  }

  /** Stores the first `tokens` rows that the member has gained in a run, as own rows from `row` on. */
  store(member: Member, row: number, tokens: number, { latents, index, total, padded }: RunRows): void {
    const fits = row + tokens <= this.roomOf(member);
    // a message costs more than its check, and this one is made for every token
    if (!fits) invariant(false, `own rows to ${row + tokens} of ${this.roomOf(member)}`);
    const { layers, latentWidth } = this.#shape;
    const places = this.blocksOf(member);
    for (let done = 0; done < tokens; ) {
      const at = (row + done) % blockRows;
      const count = Math.min(tokens - done, blockRows - at);
      const target = (places[Math.floor((row + done) / blockRows)] ?? 0) * blockRows + at;
      for (let layer = 0; layer < layers; layer++) {
        const from = ((layer * total + index) * padded + done) * latentWidth;
        this.#rows.write(layer, target, latents.subarray(from, from + count * latentWidth));
      }
      done += count;
    }
  }

  /** Stores a page `[layers, 256, width]` as own rows from `row` on, the first of a block. */
  storePage(member: Member, row: number, page: Float32Array): void {
    this.store(member, row, blockRows, { latents: page, index: 0, total: 1, padded: blockRows });
  }

  /** A copy of the block of 256 own rows from `row` on, as a page. */
  copyPage(member: Member, row: number): Float32Array {
    return this.#rows.copyBlock(this.#blockAt(member, row));
  }

  /**
   * Whole own blocks in INT8, of each member as many as are given: they will not change any more. Null: there are none,
   * or nobody reads them so.
   * @param group names those who run together
   */
  async rounded(group: string, members: readonly Member[], blocks: readonly number[]): Promise<OwnBlocks | null> {
    const { rounding } = this.#shape;
    if (rounding === null || blocks.every((count) => count === 0)) return null;
    const rounded = this.#rounded.get(group) ?? new RoundedBlocks<Member>(this.#shape, rounding);
    this.#rounded.set(group, rounded);
    for (const [index, member] of members.entries()) {
      const block = (place: number): LatentLayers => this.#rows.block(this.#blockAt(member, place * blockRows));
      await rounded.keep(member, blocks[index] ?? 0, block);
    }
    return rounded.of(members);
  }

  /** O1. @param members all there are */
  checkIntegrity(members: ReadonlySet<Member>): void {
    this.#places.checkIntegrity(members);
    for (const rounded of this.#rounded.values()) rounded.checkIntegrity(members);
    const held = this.#budget.heldBy(owner);
    invariant(held === this.#heldNow, `own rows hold ${held} blocks, of members ${this.#heldNow}`);
    for (const member of members) invariant(this.blocksOf(member).length > 0, 'a member has no blocks');
  }

  get #heldNow(): number {
    return this.#held(this.#places.total, this.#roundable);
  }

  #held(blocks: number, roundable: number): number {
    return blocks + blocksInInt8(this.#shape, roundable);
  }

  #blockAt(member: Member, row: number): number {
    const block = this.blocksOf(member)[row / blockRows];
    if (block === undefined) invariant(false, `a member has no block at row ${row}`);
    return block;
  }
}

function wholeBlocks(rows: number): number {
  return Math.max(1, Math.ceil(rows / blockRows));
}
