import type { EngineCounters } from '../engine-counters.ts';
import type { Sequence } from '../sequence.ts';
import type { Residents } from './residents.ts';
import { compareUrgency, type Urgent } from './urgency.ts';
import { WaitQueue } from './wait-queue.ts';

/** Prefixes remembered by name, to tell one that was evicted from one never seen. */
const rememberedPrefixes = 65_536;

export interface AdmissionDeps {
  readonly residents: Residents;
  readonly counters: EngineCounters;
  /** Most sequences that have a place at a time. */
  readonly maxSequences: number;
  readonly nowMs: () => number;
  /** A sequence was admitted, or has lost its place. */
  readonly onMoved: (sequence: Sequence) => void;
}

/**
 * Who has a place and who waits for one.
 *
 * A1 Strictly by rank and arrival, but for warm prefixes (`WaitQueue`): one that finds no room lets nobody pass.
 * A2 Only a request of a better priority takes another's place; with equal ones the earlier keeps it.
 */
export class Admission {
  readonly #deps: AdmissionDeps;
  readonly #waiting = new WaitQueue<Sequence>();
  readonly #seen = new Set<string>();

  constructor(deps: AdmissionDeps) {
    this.#deps = deps;
  }

  get waitingTotal(): number {
    return this.#waiting.size;
  }

  add(sequence: Sequence): void {
    this.#waiting.push(sequence);
  }

  /** Gives places while there are any. @param first waits for memory elsewhere: who comes behind it does not pass it */
  admit(first: Urgent | null): void {
    const { residents, maxSequences } = this.#deps;
    const warmKeys = new Set([...residents.members].map(({ prefixKey }) => prefixKey));
    for (;;) {
      const next = this.#waiting.peek((key) => warmKeys.has(key));
      if (next === undefined || (first !== null && compareUrgency(first, next) < 0)) return;
      const opensWindow = residents.windows.isOpenedBy(next.prefixNames);
      const admitted = residents.members.size < maxSequences && residents.admit(next);
      if (admitted) {
        this.#waiting.take(next);
        warmKeys.add(next.prefixKey);
        this.#note(next, opensWindow);
      } else if (!this.makeWay(next.priority)) return;
    }
  }

  /** Takes the place of the least urgent sequence when its priority is worse; false when there is none. */
  makeWay(priority: number): boolean {
    const last = this.#deps.residents.leastUrgent();
    if (last === undefined || last.priority <= priority) return false;
    this.#deps.residents.release(last);
    this.requeue(last);
    return true;
  }

  /** Room for all tokens of a resident; others, or it itself, may wait again afterwards. */
  grow(sequence: Sequence): void {
    for (const lost of this.#deps.residents.grow(sequence)) this.requeue(lost);
  }

  /** Out of here, wherever it is. */
  remove(sequence: Sequence): void {
    if (sequence.residence === null) this.#waiting.remove(sequence);
    else this.#deps.residents.release(sequence);
  }

  /** One that has lost its place waits with its old place in the order. */
  requeue(sequence: Sequence): void {
    this.#deps.counters.preemptions++;
    this.#waiting.push(sequence);
    this.#deps.onMoved(sequence);
  }

  /** What the bill will say of the prefix is settled by who came first, here. */
  #note(sequence: Sequence, opensWindow: boolean): void {
    sequence.admittedMs ??= this.#deps.nowMs();
    const key = sequence.residence?.window.key ?? '';
    sequence.noteAdmission(opensWindow, this.#seen.has(key));
    this.#seen.add(key);
    if (this.#seen.size > rememberedPrefixes) {
      const [oldest = ''] = this.#seen;
      this.#seen.delete(oldest);
    }
    this.#deps.onMoved(sequence);
  }
}
