import { invariant } from '../../base/invariant.ts';
import { blockRows, type LatentLayers, type LatentRounding, type OwnBlocks } from '../ports.ts';
import type { BlockBudget } from './block-budget.ts';
import { pageBytes } from './page-shape.ts';
import { RoundedBlocks } from './rounded-blocks.ts';
import { type RunRows, SlotRows, type SlotShape } from './slot-rows.ts';

/** What a slab keeps the rows of. A member's place may change with every call that adds, promotes or removes one. */
export interface SlabMember {
  slot: number;
}

export interface SlabShape extends SlotShape {
  /** Whole blocks of own rows are read in INT8 too; null: they are not. */
  readonly rounding: LatentRounding | null;
}

/** Who keeps the count of blocks. */
export type BlockLender = Pick<BlockBudget, 'take' | 'give' | 'heldBy'>;

/**
 * The own rows of sequences that run together, in slots side by side, so that a run reads any neighbours without
 * copying.
 *
 * | slots                  | members                                   |
 * |------------------------|-------------------------------------------|
 * | [0, decoding)          | decode: one run reads all of them         |
 * | [decoding, total)      | still prefill rows of their own           |
 * | [total, capacity)      | nobody                                    |
 *
 * S1 Every member has one slot, and the table holds after every call.
 * S2 The budget's blocks held for `owner` are exactly those of the capacity, in INT8 too where they are read so.
 * S3 Of an earlier member's rows a later one sees nothing (R1 of `SlotRows`).
 */
export class Slab<Member extends SlabMember> {
  readonly rows: number;
  readonly #shape: SlabShape;
  readonly #budget: BlockLender;
  readonly #owner: string;
  readonly #members: Member[] = [];
  #decoding = 0;
  readonly #slots: SlotRows;
  readonly #rounded: RoundedBlocks<Member> | null;

  constructor(shape: SlabShape, budget: BlockLender, owner: string) {
    this.rows = shape.rows;
    this.#shape = shape;
    this.#budget = budget;
    this.#owner = owner;
    this.#slots = new SlotRows(shape);
    this.#rounded = shape.rounding === null ? null : new RoundedBlocks(shape, shape.rounding);
  }

  get members(): readonly Member[] {
    return this.#members;
  }

  get decoding(): readonly Member[] {
    return this.#members.slice(0, this.#decoding);
  }

  get capacity(): number {
    return this.#slots.capacity;
  }

  /** Blocks that one more member would take beyond those held. */
  get blocksForOneMore(): number {
    return this.#blocksOf(this.#capacityForOneMore()) - this.#blocksOf(this.capacity);
  }

  /** Adds a member that prefills. False, with nothing changed, when the budget has no room. */
  add(member: Member): boolean {
    if (!this.#resize(this.#capacityForOneMore())) return false;
    member.slot = this.#members.push(member) - 1;
    this.#slots.open(member.slot);
    return true;
  }

  /** From prefill to decode. */
  promote(member: Member): void {
    this.#check(member);
    invariant(member.slot >= this.#decoding, 'a member that decodes is promoted');
    const first = this.#members[this.#decoding];
    if (first !== undefined && first !== member) this.#swap(first, member);
    this.#decoding++;
  }

  /** Takes a member out; its rows are gone. */
  remove(member: Member): void {
    this.#check(member);
    this.#rounded?.remove(member);
    let hole = member.slot;
    if (hole < this.#decoding) {
      this.#move(this.#decoding - 1, hole);
      hole = this.#decoding - 1;
      this.#decoding--;
    }
    this.#move(this.#members.length - 1, hole);
    this.#members.pop();
    // give memory back in big steps only: what comes back to be used again costs more than what stays
    if (this.#members.length <= this.capacity / 4) this.#resize(capacityFor(this.#members.length));
  }

  /** Gives back what `remove` has kept for the next members; false when that is nothing. */
  trim(): boolean {
    const capacity = capacityFor(this.#members.length);
    return capacity < this.capacity && this.#resize(capacity);
  }

  /** Rows of `count` neighbours from slot `first` on: `[count, rows, width]` a layer, not copied. */
  view(first: number, count: number): LatentLayers {
    const isTaken = first + count <= this.#members.length;
    // a message costs more than its check, and this one is made for every token
    if (!isTaken) invariant(false, `slots to ${first + count} of ${this.#members.length} members`);
    return this.#slots.view(first, count);
  }

  /**
   * Whole own blocks in INT8, of each member as many as are given: they will not change any more. Null: there are none,
   * or nobody reads them so.
   */
  async rounded(members: readonly Member[], blocks: readonly number[]): Promise<OwnBlocks | null> {
    if (this.#rounded === null) return null;
    for (const [index, member] of members.entries()) {
      this.#check(member);
      await this.#rounded.keep(member, blocks[index] ?? 0, this.#slots.view(member.slot, 1));
    }
    return this.#rounded.of(members);
  }

  /** Stores the first `tokens` rows that the member has gained in a run, as own rows from `row` on. */
  store(member: Member, row: number, tokens: number, gained: RunRows): void {
    this.#check(member);
    this.#slots.store(member.slot, row, tokens, gained);
  }

  /** Stores a page `[layers, 256, width]` as own rows from `row` on. */
  storePage(member: Member, row: number, page: Float32Array): void {
    this.store(member, row, blockRows, { latents: page, index: 0, total: 1, padded: blockRows });
  }

  /** A copy of 256 own rows from `row` on, as a page. */
  copyPage(member: Member, row: number): Float32Array {
    return this.#slots.copyPage(member.slot, row);
  }

  isDecoding(member: Member): boolean {
    this.#check(member);
    return member.slot < this.#decoding;
  }

  /** Moves a member with its rows to a slab of longer ones, where it prefills. False, with nothing changed, without room. */
  moveTo(target: Slab<Member>, member: Member): boolean {
    this.#check(member);
    const slot = member.slot;
    if (!target.add(member)) return false;
    const targetSlot = member.slot;
    target.#slots.copy(this.#slots, slot, targetSlot);
    member.slot = slot;
    this.remove(member);
    member.slot = targetSlot;
    return true;
  }

  /** S1 and S2. */
  checkIntegrity(): void {
    this.#members.forEach((member, slot) => {
      invariant(member.slot === slot, `a member of slot ${slot} believes in ${member.slot}`);
    });
    this.#rounded?.checkIntegrity(this.#members);
    invariant(this.#decoding <= this.#members.length, `${this.#decoding} of ${this.#members.length} members decode`);
    const held = this.#budget.heldBy(this.#owner);
    const own = this.#blocksOf(this.capacity);
    invariant(held === own, `${this.#owner} holds ${held} blocks for a capacity of ${own}`);
  }

  #check(member: Member): void {
    invariant(this.#members[member.slot] === member, 'not a member of this slab');
  }

  #capacityForOneMore(): number {
    return Math.max(this.capacity, capacityFor(this.#members.length + 1));
  }

  #blocksOf(capacity: number): number {
    return slabBlocks(this.#shape, capacity);
  }

  #resize(capacity: number): boolean {
    const change = this.#blocksOf(capacity) - this.#blocksOf(this.capacity);
    if (change > 0 && !this.#budget.take(this.#owner, change)) return false;
    if (change < 0) this.#budget.give(this.#owner, -change);
    if (capacity !== this.capacity) this.#slots.resize(capacity);
    return true;
  }

  #move(from: number, to: number): void {
    if (from === to) return;
    this.#slots.copy(this.#slots, from, to);
    this.#put(to, this.#members[from]);
  }

  #swap(one: Member, other: Member): void {
    this.#slots.swap(one.slot, other.slot);
    const slot = one.slot;
    this.#put(other.slot, one);
    this.#put(slot, other);
  }

  #put(slot: number, member: Member | undefined): void {
    invariant(member !== undefined, `slot ${slot} is filled from nowhere`);
    this.#members[slot] = member;
    member.slot = slot;
  }
}

/** Of the ledger, for so many slots. */
export function slabBlocks(shape: SlabShape, slots: number): number {
  const { rows, rounding } = shape;
  // a member's last block is read in float32, whole or not
  const rounded = slots * Math.floor((rows - 1) / blockRows);
  const inInt8 = rounding === null ? 0 : Math.ceil((rounded * rounding.blockBytes) / pageBytes(shape));
  return Math.ceil((slots * rows) / blockRows) + inInt8;
}

/** 0, 1, 2, 4, 6, 8, 12, 16, 24, 32 …: at most half more than needed. */
function capacityFor(members: number): number {
  let capacity = Math.min(members, 2);
  for (let step = 2; capacity < members; ) {
    capacity += step;
    if (capacity === step * 4) step *= 2;
  }
  return capacity;
}

/** Rows of the slab for so many own rows: 1, 2, 3, 4, 6, 8, 12, 16 … steps, at most a third of it padding beyond one step. */
export function slabRows(ownRows: number, step: number): number {
  let rows = step;
  for (let unit = step; rows < ownRows; ) {
    rows += unit;
    if (rows === unit * 4) unit *= 2;
  }
  return rows;
}
