import { invariant } from '../../base/invariant.ts';

const none: readonly number[] = [];

/**
 * Which of blocks [0, total) belong to whom: each member has a list of them, in the order of its rows.
 *
 * P1 Every block belongs to one member, at one place of its list.
 * P2 There are no holes: when a member goes, the last blocks take the places of its own.
 */
export class BlockPlaces<Member extends object> {
  /** Of each block. */
  readonly #owners: Member[] = [];
  readonly #places = new Map<Member, number[]>();

  get total(): number {
    return this.#owners.length;
  }

  /** Blocks of a member, in the order of its rows. */
  of(member: Member): readonly number[] {
    return this.#places.get(member) ?? none;
  }

  /** One more block of a member; returns which. */
  add(member: Member): number {
    const block = this.#owners.push(member) - 1;
    const places = this.#places.get(member);
    if (places === undefined) this.#places.set(member, [block]);
    else places.push(block);
    return block;
  }

  /** Takes a member's blocks away. @param move what is in one block goes to another, which is free */
  remove(member: Member, move: (from: number, to: number) => void): void {
    const places = this.of(member);
    this.#places.delete(member);
    // from behind, so that none of its own takes a place that is free
    for (const hole of places.toSorted((one, other) => other - one)) this.#close(hole, move);
  }

  /** P1 and P2. @param members all there may be */
  checkIntegrity(members: ReadonlySet<Member>): void {
    let placed = 0;
    for (const [member, places] of this.#places) {
      invariant(members.has(member), 'blocks of nobody');
      for (const block of places) invariant(this.#owners[block] === member, `block ${block} belongs to another member`);
      invariant(new Set(places).size === places.length, 'a block has two places');
      placed += places.length;
    }
    invariant(placed === this.total, `${placed} places of ${this.total} blocks`);
  }

  #close(hole: number, move: (from: number, to: number) => void): void {
    const last = this.total - 1;
    const moved = this.#owners.pop() as Member;
    if (hole === last) return;
    move(last, hole);
    this.#owners[hole] = moved;
    const places = this.#places.get(moved) ?? [];
    places[places.indexOf(last)] = hole;
  }
}
