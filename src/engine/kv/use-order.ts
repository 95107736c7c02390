import { invariant } from '../../base/invariant.ts';

/** What a member of a `UseOrder` carries; the order alone writes it. */
export interface UseLink<Member> {
  /** Used before this one; undefined for the oldest. */
  older: Member | undefined;
  /** Used after this one; undefined for the newest. */
  newer: Member | undefined;
}

/** Members by last use, as a doubly linked list: every change is O(1). A member belongs to one order at most. */
export class UseOrder<Member extends UseLink<Member>> {
  #oldest: Member | undefined;
  #newest: Member | undefined;

  get oldest(): Member | undefined {
    return this.#oldest;
  }

  addNewest(member: Member): void {
    member.older = this.#newest;
    member.newer = undefined;
    if (this.#newest === undefined) this.#oldest = member;
    else this.#newest.newer = member;
    this.#newest = member;
  }

  /** Puts a new member just before `next`, which is in the order. */
  addOlderThan(next: Member, member: Member): void {
    member.older = next.older;
    member.newer = next;
    if (next.older === undefined) this.#oldest = member;
    else next.older.newer = member;
    next.older = member;
  }

  remove(member: Member): void {
    if (member.older === undefined) this.#oldest = member.newer;
    else member.older.newer = member.newer;
    if (member.newer === undefined) this.#newest = member.older;
    else member.newer.older = member.older;
    member.older = undefined;
    member.newer = undefined;
  }

  /** All members, oldest first. Throws `bug.invariant` where the two directions disagree. */
  list(): readonly Member[] {
    const members = new Set<Member>();
    let last: Member | undefined;
    for (let member = this.#oldest; member !== undefined; member = member.newer) {
      invariant(
        member.older === last && !members.has(member),
        `the order of use is broken behind ${members.size} members`,
      );
      members.add(member);
      last = member;
    }
    invariant(last === this.#newest, `the order of use ends after ${members.size} members, before its newest`);
    return [...members];
  }
}
