import { type Clock, systemClock } from '../base/clock.ts';
import { AppError, isFamily } from '../base/errors.ts';
import { newNonce } from '../base/ids.ts';
import { keys, type ObjectStore } from '../storage/index.ts';
import { decodeLogEntry, encodeLogEntry } from './log-entry.ts';
import type { CheckpointName, LineResult, LogEntry, SealReason } from './records.schema.ts';

/**
 * The log of one unit: consecutive create-once slots, the only place where progress counts.
 *
 * L1. Slot n exists only if slots 0…n-1 do: a writer creates the first slot it found absent.
 * L2. A claim takes the next slot, so the former owner's next write finds its slot taken and stops: fencing.
 * L3. A seal ends the log. Nothing behind it counts, so a cancel cannot race a completion.
 * L4. The first result of a line is its result.
 * L5. The newest checkpoint that counts is the one that the newest segment with one names.
 * L6. "Taken" means taken by somebody else: a slot that holds our own nonce was written by us in a lost response.
 */
export interface UnitLogState<Kept = LineResult> {
  readonly nextSlot: number;
  /** Number of claims. */
  readonly epoch: number;
  /** Claims since the last result: a unit that only ever kills its workers shows here. */
  readonly fruitlessClaims: number;
  /** Claims since the last result or longer checkpoint: fewer, where long lines go on although workers end. */
  readonly stuckClaims: number;
  /** Where the unfinished lines stand; null: at their beginning. */
  readonly checkpoint: CheckpointName | null;
  readonly results: ReadonlyMap<number, Kept>;
  readonly sealed: SealReason | null;
}

export interface UnitLogOptions<Kept> {
  /** What to keep of each result: readers that only count keep little. */
  readonly keep: (result: LineResult) => Kept;
  readonly clock?: Clock;
}

/** Waits between tries of one write: 3 s in all, beyond what the store's client tried already. */
const retryWaitsMs = [100, 200, 400, 800, 1_500];
/** A claim or seal can lose its slot to a running owner once a segment; this many in a row is no accident. */
const maxSlotRaces = 1_000;
const maxReadsAtOnce = 16;

export function openUnitLog(store: ObjectStore, tenant: string, batchId: string, unitId: string): UnitLog {
  return new UnitLog(store, tenant, batchId, unitId, { keep: (result) => result });
}

export class UnitLog<Kept = LineResult> {
  readonly unitId: string;
  readonly #store: ObjectStore;
  readonly #keyOf: (slot: number) => string;
  readonly #keep: (result: LineResult) => Kept;
  readonly #clock: Clock;
  readonly #results = new Map<number, Kept>();
  #nextSlot = 0;
  #epoch = 0;
  #fruitlessClaims = 0;
  #stuckClaims = 0;
  #checkpoint: CheckpointName | null = null;
  /** Most tokens of a checkpoint since the last result. */
  #bestTokens = 0;
  #sealed: SealReason | null = null;
  /** Epoch of our own claim while nothing contradicts it. */
  #held: number | null = null;
  #busy: Promise<unknown> = Promise.resolve();

  constructor(store: ObjectStore, tenant: string, batchId: string, unitId: string, options: UnitLogOptions<Kept>) {
    this.unitId = unitId;
    this.#store = store;
    this.#keyOf = (slot) => keys.unitSlot(tenant, batchId, unitId, slot);
    this.#keep = options.keep;
    this.#clock = options.clock ?? systemClock;
  }

  /** What is known without reading. */
  get state(): UnitLogState<Kept> {
    return {
      nextSlot: this.#nextSlot,
      epoch: this.#epoch,
      fruitlessClaims: this.#fruitlessClaims,
      stuckClaims: this.#stuckClaims,
      checkpoint: this.#checkpoint,
      results: this.#results,
      sealed: this.#sealed,
    };
  }

  /**
   * Reads the slots not read yet.
   * @param slotTotal so many are known to be there, so nobody looks for more @throws `corrupt.*`, `transient.*`
   */
  fold(slotTotal?: number): Promise<UnitLogState<Kept>> {
    return this.#alone(async () => {
      await (slotTotal === undefined ? this.#readNew() : this.#readUpTo(slotTotal));
      return this.state;
    });
  }

  /** Takes the unit over from whoever had it. @returns the epoch, or `sealed` when there is nothing left to own */
  claim(owner: string): Promise<number | 'sealed'> {
    return this.#alone(async () => {
      for (let race = 0; race < maxSlotRaces; race++) {
        // most units are claimed once: the write itself tells that nobody was there before
        if (race > 0 || this.#nextSlot > 0) await this.#readNew();
        if (this.#sealed !== null) return 'sealed';
        const epoch = this.#epoch + 1;
        if (await this.#write({ version: 1, type: 'claim', epoch, owner, nonce: newNonce() })) {
          this.#held = epoch;
          return epoch;
        }
      }
      throw this.#outraced();
    });
  }

  /**
   * Adds results as the holder of the claim, and names a checkpoint that is stored already.
   * @throws `ownership.lost` when somebody claimed or sealed since
   */
  append(results: readonly LineResult[], checkpoint: CheckpointName | null = null): Promise<void> {
    return this.#alone(async () => {
      const epoch = this.#requireHeld();
      const named = checkpoint === null ? {} : { checkpoint };
      await this.#writeHeld({ version: 1, type: 'segment', epoch, results, ...named, nonce: newNonce() });
    });
  }

  /** Says that a line begins with nothing beside it. @throws `ownership.lost` when somebody claimed or sealed since */
  noteAlone(lineIndex: number): Promise<void> {
    return this.#alone(async () => {
      const epoch = this.#requireHeld();
      await this.#writeHeld({ version: 1, type: 'segment', epoch, results: [], alone: lineIndex, nonce: newNonce() });
    });
  }

  /**
   * Ends the log. `done` is the word of the holder of the claim, while it holds it; anybody else tries until the log is
   * sealed, whoever did it.
   * @returns the reason in the log
   * @throws `ownership.lost` to a holder whose claim is gone, and for `done` without one
   */
  seal(reason: SealReason): Promise<SealReason> {
    return this.#alone(async () => {
      if (reason === 'done') this.#requireHeld();
      if (this.#held !== null) {
        await this.#writeHeld({ version: 1, type: 'seal', reason, nonce: newNonce() });
        return reason;
      }
      for (let race = 0; race < maxSlotRaces; race++) {
        await this.#readNew();
        if (this.#sealed !== null) return this.#sealed;
        if (await this.#write({ version: 1, type: 'seal', reason, nonce: newNonce() })) return reason;
      }
      throw this.#outraced();
    });
  }

  #requireHeld(): number {
    if (this.#held !== null) return this.#held;
    throw new AppError('ownership.lost', `unit ${this.unitId} is not claimed by this worker`);
  }

  async #writeHeld(entry: LogEntry): Promise<void> {
    let written = false;
    try {
      written = await this.#write(entry);
    } finally {
      // after a failure nobody knows what the slot holds: only a new claim can tell
      if (!written || entry.type === 'seal') this.#held = null;
    }
    if (written) return;
    throw new AppError('ownership.lost', `unit ${this.unitId} was claimed or sealed by somebody else`, {
      details: { slot: this.#nextSlot, epoch: this.#epoch },
    });
  }

  /** Creates the next slot. @returns false when somebody else has it */
  async #write(entry: LogEntry): Promise<boolean> {
    const key = this.#keyOf(this.#nextSlot);
    const body = encodeLogEntry(entry);
    const { created } = await this.#retried(() => this.#store.create(key, body));
    if (!created) {
      const there = await this.#retried(() => this.#store.get(key));
      if (there === undefined || decodeLogEntry(there.body, key).nonce !== entry.nonce) return false;
    }
    this.#apply(entry);
    return true;
  }

  async #retried<Result>(run: () => Promise<Result>): Promise<Result> {
    for (const waitMs of retryWaitsMs) {
      try {
        return await run();
      } catch (error) {
        if (!isFamily(error, 'transient')) throw error;
        await this.#clock.sleep(waitMs);
      }
    }
    return await run();
  }

  /** Reads ahead the more the longer the log proves to be, so that an unchanged log costs one request. */
  async #readNew(): Promise<void> {
    for (let ahead = 1; this.#sealed === null; ahead = Math.min(ahead * 2, maxReadsAtOnce)) {
      if (!(await this.#readNext(ahead))) return;
    }
  }

  async #readUpTo(slotTotal: number): Promise<void> {
    while (this.#sealed === null && this.#nextSlot < slotTotal) {
      if (!(await this.#readNext(Math.min(slotTotal - this.#nextSlot, maxReadsAtOnce)))) return;
    }
  }

  /** @returns false when the log ends before so many slots */
  async #readNext(slotTotal: number): Promise<boolean> {
    const slots = Array.from({ length: slotTotal }, (_, offset) => this.#nextSlot + offset);
    const entries = await Promise.all(slots.map((slot) => this.#read(slot)));
    for (const entry of entries) {
      // what lies behind a gap was written after this read began: the next fold sees it
      if (entry === undefined) return false;
      this.#apply(entry);
    }
    return true;
  }

  async #read(slot: number): Promise<LogEntry | undefined> {
    const key = this.#keyOf(slot);
    const object = await this.#store.get(key);
    return object === undefined ? undefined : decodeLogEntry(object.body, key);
  }

  #apply(entry: LogEntry): void {
    if (this.#sealed !== null) return;
    this.#nextSlot += 1;
    switch (entry.type) {
      case 'claim':
        this.#epoch += 1;
        this.#fruitlessClaims += 1;
        this.#stuckClaims += 1;
        if (this.#held !== null && this.#held !== this.#epoch) this.#held = null;
        break;
      case 'segment':
        // a segment of an older epoch cannot be there by L2; if it were, it would not count
        if (entry.epoch !== this.#epoch) break;
        this.#keepResults(entry.results);
        if (entry.checkpoint !== undefined) this.#keepCheckpoint(entry.checkpoint);
        break;
      case 'seal':
        this.#sealed = entry.reason;
        this.#held = null;
        break;
    }
  }

  #keepResults(results: readonly LineResult[]): void {
    if (results.length > 0) {
      this.#fruitlessClaims = 0;
      this.#stuckClaims = 0;
      // finished lines leave the checkpoints, so the next one may well be shorter
      this.#bestTokens = 0;
    }
    for (const result of results) {
      if (!this.#results.has(result.index)) this.#results.set(result.index, this.#keep(result));
    }
  }

  #keepCheckpoint(checkpoint: CheckpointName): void {
    this.#checkpoint = checkpoint;
    if (checkpoint.tokens <= this.#bestTokens) return;
    this.#bestTokens = checkpoint.tokens;
    this.#stuckClaims = 0;
  }

  #outraced(): AppError {
    return new AppError('transient.store-error', `unit ${this.unitId} took ${maxSlotRaces} writes while one was tried`);
  }

  /** One operation at a time: each starts from the slot where the last one ended. */
  #alone<Result>(run: () => Promise<Result>): Promise<Result> {
    const next = this.#busy.then(run, run);
    this.#busy = next.catch(() => {});
    return next;
  }
}
