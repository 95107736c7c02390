/** Before anything was measured: a further row costs so much of what a run costs by itself. */
const firstRowShare = 0.25;
/** Of one run, what is left after the next. */
const kept = 0.95;
/** How much spread of rows the first belief counts; little, since a few runs say more. */
const firstSpread = 4;
/** A run that was held up by something else counts as one of so many times the expected cost at the most. */
const mostSurprise = 3;

/** What a run costs by its rows, in milliseconds once some were measured: a line through the recent runs. */
export class RunCost {
  #weight = 0;
  #rows = 0;
  #ms = 0;
  #rowsSquared = 0;
  #rowsMs = 0;

  /** @param rows of all sequences, padding included. Runs without a time are ignored. */
  note(rows: number, ms: number): void {
    if (!(ms > 0)) return;
    const bounded = this.#weight === 0 ? ms : Math.min(ms, mostSurprise * this.of(rows));
    this.#weight = this.#weight * kept + 1;
    this.#rows = this.#rows * kept + rows;
    this.#ms = this.#ms * kept + bounded;
    this.#rowsSquared = this.#rowsSquared * kept + rows * rows;
    this.#rowsMs = this.#rowsMs * kept + rows * bounded;
  }

  /** Above 0, and growing with the rows. */
  of(rows: number): number {
    if (this.#weight === 0) return 1 + firstRowShare * rows;
    const meanRows = this.#rows / this.#weight;
    const meanMs = this.#ms / this.#weight;
    const spread = this.#rowsSquared - this.#rows * meanRows;
    const together = this.#rowsMs - this.#rows * meanMs;
    const firstSlope = (meanMs * firstRowShare) / (1 + firstRowShare * meanRows);
    const slope = (together + firstSpread * firstSlope) / (spread + firstSpread);
    // neither free rows nor a run that costs less than nothing without them
    const bounded = Math.min(Math.max(slope, firstSlope / 25), meanMs / meanRows);
    return meanMs + bounded * (rows - meanRows);
  }
}
