/**
 * What a batch, its units and their owners may do, in as few words as possible and without any store: the oracle for
 * random runs of the real code. Time is given; nothing here waits, writes or fails.
 */
export type Seal = 'done' | 'cancelled' | 'expired';
export type Status = 'validating' | 'in_progress' | 'finalizing' | 'completed' | 'cancelling' | 'cancelled' | 'expired';

export interface ModelUnit {
  readonly lines: readonly number[];
  epoch: number;
  sealed: Seal | null;
}

/** A worker as it sees itself: what it believes to hold. */
export interface ModelWorker {
  unit: number;
  epoch: number;
}

export type Outcome = 'completed' | 'failed';
export type ErrorCode = 'batch_cancelled' | 'batch_expired' | 'internal_error';

const errorOf: Readonly<Record<Seal, ErrorCode>> = {
  done: 'internal_error',
  cancelled: 'batch_cancelled',
  expired: 'batch_expired',
};

export class ReferenceModel {
  status: Status = 'validating';
  readonly units: readonly ModelUnit[];
  /** First result of each line; nothing takes it back. */
  readonly results = new Map<number, Outcome>();
  readonly #endsMs: number;

  constructor(units: readonly (readonly number[])[], endsMs: number) {
    this.units = units.map((lines) => ({ lines, epoch: 0, sealed: null }));
    this.#endsMs = endsMs;
  }

  get isPlanned(): boolean {
    return this.status !== 'validating';
  }

  get isTerminal(): boolean {
    return this.status === 'completed' || this.status === 'cancelled' || this.status === 'expired';
  }

  /** @returns the owner's claim, or null when the unit is sealed */
  claim(unitIndex: number): ModelWorker | null {
    const unit = this.#unit(unitIndex);
    if (unit.sealed !== null) return null;
    unit.epoch += 1;
    return { unit: unitIndex, epoch: unit.epoch };
  }

  /** Does this worker's next write count? */
  holds(worker: ModelWorker): boolean {
    const unit = this.#unit(worker.unit);
    return unit.sealed === null && unit.epoch === worker.epoch;
  }

  /** @returns false when the write is refused */
  append(worker: ModelWorker, line: number, outcome: Outcome): boolean {
    if (!this.holds(worker)) return false;
    if (!this.results.has(line)) this.results.set(line, outcome);
    return true;
  }

  /** @returns false when the write is refused */
  sealDone(worker: ModelWorker): boolean {
    if (!this.holds(worker)) return false;
    this.#unit(worker.unit).sealed = 'done';
    return true;
  }

  /** @returns false when the batch is final */
  cancel(): boolean {
    if (this.isTerminal) return false;
    this.status = 'cancelling';
    return true;
  }

  /** Everything that can be done at this moment, to its end. */
  sweep(nowMs: number): void {
    const isOver = nowMs >= this.#endsMs;
    switch (this.status) {
      case 'validating':
        if (isOver) this.#end('expired');
        else this.status = 'in_progress';
        break;
      case 'in_progress':
        if (isOver) this.#sealOpen('expired');
        if (this.units.every(({ sealed }) => sealed !== null)) {
          this.status = this.units.some(({ sealed }) => sealed === 'expired') ? 'expired' : 'completed';
        }
        break;
      case 'cancelling':
        this.#end('cancelled');
        break;
      default:
        break;
    }
  }

  /** What the caller reads of each line in the end. */
  verdicts(): ReadonlyMap<number, Outcome | ErrorCode> {
    const verdicts = new Map<number, Outcome | ErrorCode>();
    for (const { lines, sealed } of this.units) {
      for (const line of lines) {
        const result = this.results.get(line);
        if (result !== undefined) verdicts.set(line, result);
        else if (sealed !== null) verdicts.set(line, errorOf[sealed]);
      }
    }
    return verdicts;
  }

  #end(how: 'expired' | 'cancelled'): void {
    this.#sealOpen(how);
    this.status = how;
  }

  #sealOpen(reason: Seal): void {
    for (const unit of this.units) unit.sealed ??= reason;
  }

  #unit(index: number): ModelUnit {
    const unit = this.units[index];
    if (unit === undefined) throw new RangeError(`no unit ${index} in the model`);
    return unit;
  }
}
