/**
 * Decides which request goes to the engine process next. It holds what waits in the client and counts what is in the
 * process; it sends nothing itself.
 *
 * G1. Order: priority, then the earlier deadline, then who came first. Nobody overtakes whoever is first but cannot go.
 * G2. At most `maxInFlight` requests and `maxInFlightBytes` bytes are in the process; a larger request goes when
 *     nothing else is in it.
 * G3. A suspect is let in when nothing else is in the process, and nothing is let in beside it while its turn lasts.
 *     In an empty process suspects of the best priority go first.
 * G4. A turn ends with its request or by `endTurn`, whichever is first; then the others are let in beside it.
 * G5. After `fairMs` of turns the others get as long a time in which no further turn begins. So nobody waits for long,
 *     however many suspects there are.
 */
export class RequestGate<Entry extends GateEntry> {
  readonly #options: GateOptions<Entry>;
  /** Sorted by G1. */
  readonly #waiting: Entry[] = [];
  readonly #inFlight = new Set<Entry>();
  #bytesInFlight = 0;
  #turn: Turn<Entry> | null = null;
  /** Time in turns since the others had theirs. */
  #turnsMs = 0;
  /** Until then no turn begins while there is anything else to do. */
  #othersUntilMs = 0;

  constructor(options: GateOptions<Entry>) {
    this.#options = options;
  }

  /** The suspect whose turn it is. */
  get alone(): Entry | null {
    return this.#turn?.entry ?? null;
  }

  get waiting(): readonly Entry[] {
    return this.#waiting;
  }

  add(entry: Entry): void {
    let [low, high] = [0, this.#waiting.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (isBefore(entry, this.#waiting[middle] as Entry)) high = middle;
      else low = middle + 1;
    }
    this.#waiting.splice(low, 0, entry);
  }

  /** Forgets an entry, wherever it is. */
  remove(entry: Entry): void {
    if (this.#inFlight.delete(entry)) {
      this.#bytesInFlight -= entry.bytes;
      if (this.#turn?.entry === entry) this.endTurn();
      return;
    }
    const index = this.#waiting.indexOf(entry);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  /** The entry to send now, from here on in flight; undefined when none may go. */
  take(): Entry | undefined {
    if (this.#turn !== null) return undefined;
    const index = this.#inFlight.size === 0 ? this.#firstForEmpty() : this.#firstBeside();
    const entry = this.#waiting[index];
    if (entry === undefined || !this.#hasRoomFor(entry)) return undefined;
    this.#waiting.splice(index, 1);
    this.#inFlight.add(entry);
    this.#bytesInFlight += entry.bytes;
    if (this.#options.isSuspect(entry)) this.#turn = { entry, startMs: this.#options.nowMs() };
    return entry;
  }

  /** The suspect has been alone for long enough: it goes on, others beside it. */
  endTurn(): void {
    if (this.#turn === null) return;
    const nowMs = this.#options.nowMs();
    this.#turnsMs += nowMs - this.#turn.startMs;
    this.#turn = null;
    if (this.#turnsMs < this.#options.fairMs) return;
    this.#othersUntilMs = nowMs + this.#turnsMs;
    this.#turnsMs = 0;
  }

  #hasRoomFor(entry: Entry): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#options;
    if (this.#inFlight.size === 0) return true;
    return this.#inFlight.size < maxInFlight && this.#bytesInFlight + entry.bytes <= maxInFlightBytes;
  }

  #firstForEmpty(): number {
    const [first] = this.#waiting;
    if (first === undefined) return -1;
    if (this.#isOthersTime()) {
      const other = this.#waiting.findIndex((entry) => !this.#options.isSuspect(entry));
      if (other >= 0) return other;
    }
    const suspect = this.#waiting.findIndex(
      (entry) => entry.priority === first.priority && this.#options.isSuspect(entry),
    );
    return Math.max(suspect, 0);
  }

  #firstBeside(): number {
    if (this.#isOthersTime()) return this.#waiting.findIndex((entry) => !this.#options.isSuspect(entry));
    const [first] = this.#waiting;
    // the process is left to empty itself, then its turn comes
    return first === undefined || this.#options.isSuspect(first) ? -1 : 0;
  }

  #isOthersTime(): boolean {
    return this.#options.nowMs() < this.#othersUntilMs;
  }
}

export interface GateEntry {
  readonly priority: number;
  /** Null: any time, so after every other of its priority. */
  readonly deadlineMs: number | null;
  /** Grows with every entry. */
  readonly order: number;
  readonly bytes: number;
}

export interface GateOptions<Entry> {
  readonly maxInFlight: number;
  readonly maxInFlightBytes: number;
  /** Most time in turns before the others have theirs (G5). */
  readonly fairMs: number;
  /** Must it have a process to itself? */
  readonly isSuspect: (entry: Entry) => boolean;
  readonly nowMs: () => number;
}

interface Turn<Entry> {
  readonly entry: Entry;
  readonly startMs: number;
}

function isBefore(one: GateEntry, other: GateEntry): boolean {
  if (one.priority !== other.priority) return one.priority < other.priority;
  const [deadline, otherDeadline] = [
    one.deadlineMs ?? Number.POSITIVE_INFINITY,
    other.deadlineMs ?? Number.POSITIVE_INFINITY,
  ];
  if (deadline !== otherDeadline) return deadline < otherDeadline;
  return one.order < other.order;
}
