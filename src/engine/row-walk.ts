import type { OwnRows } from './kv/own-rows.ts';
import type { PageSource } from './kv/page-source.ts';
import { blockRows } from './ports.ts';
import type { Sequence } from './sequence.ts';

/** A sequence with the logits of what follows its last token: `[vocabularySize]`. */
export interface Scored {
  readonly sequence: Sequence;
  readonly logits: Float32Array;
}

/** What one run has computed of one sequence. */
export interface ComputedRows {
  /** Tokens that were pending, and drafted ones behind them. */
  readonly tokenIds: readonly number[];
  readonly pending: number;
  /** Of the last rows, `[wanted, vocabularySize]`: the last pending one, unless more are pending, and the drafted ones. */
  readonly logits: Float32Array;
  readonly wanted: number;
  readonly latents: {
    /** `[layers, total, padded, latentWidth]` */
    readonly all: Float32Array;
    readonly index: number;
    readonly total: number;
    readonly padded: number;
    readonly width: number;
  };
}

/**
 * Takes the rows of a run into a sequence, as far as they are those of its tokens.
 *
 * | rows of the run                      | what becomes of them                                         |
 * |--------------------------------------|--------------------------------------------------------------|
 * | pending                              | stored before anything is drawn                              |
 * | drafted, as long as drawn the same   | stored one after the other, when the tokens are the answer's |
 * | all behind the first that differs    | dropped: no block, page or count has ever known them         |
 *
 * W1 Whatever was drafted: when a row's logits are given, tokens, rows and pages are what they would be if that row had
 *    been computed by itself.
 * W2 The last token's row is stored only when its logits are given: something stays pending.
 */
export class RowWalk {
  readonly sequence: Sequence;
  readonly #computed: ComputedRows;
  readonly #pages: PageSource;
  readonly #start: number;
  /** Rows of the run that are the sequence's now. */
  #stored = 0;
  /** Row whose logits were given last. */
  #given = -1;

  constructor(sequence: Sequence, computed: ComputedRows, pages: PageSource) {
    this.sequence = sequence;
    this.#computed = computed;
    this.#pages = pages;
    this.#start = sequence.rows;
  }

  get drafted(): number {
    return this.#computed.tokenIds.length - this.#computed.pending;
  }

  /** Drafted tokens that were drawn. */
  get accepted(): number {
    return Math.max(0, this.#findCommon() - this.#computed.pending);
  }

  /** Has a token been drawn other than the drafted one? */
  get hasDiffered(): boolean {
    const common = this.#findCommon();
    return common < this.#computed.tokenIds.length && this.#start + common < this.sequence.tokens.length;
  }

  /**
   * A drafted row that is not finite reaches even the rows before it, because masked keys count 0 times their value.
   * The logits of all of them are then not numbers.
   */
  get isSpoiled(): boolean {
    return this.drafted > 0 && Number.isNaN(this.#computed.logits[0]);
  }

  storePending(): void {
    this.#store(this.#computed.pending);
  }

  /** The logits behind the sequence's last token, once, if this run has computed them. */
  next(): Scored | null {
    const { tokenIds, wanted, logits } = this.#computed;
    const row = this.sequence.tokens.length - 1 - this.#start;
    const common = this.#findCommon();
    this.#store(common);
    if (row >= common || row === this.#given) return null;
    this.#given = row;
    const vocabularySize = logits.length / wanted;
    const at = (row - (tokenIds.length - wanted)) * vocabularySize;
    return { sequence: this.sequence, logits: logits.subarray(at, at + vocabularySize) };
  }

  /** How many of the run's tokens are the sequence's. */
  #findCommon(): number {
    const { tokenIds } = this.#computed;
    const { tokens } = this.sequence;
    let common = this.#stored;
    while (common < tokenIds.length && tokenIds[common] === tokens[this.#start + common]) common++;
    return common;
  }

  /** A sequence that has lost its place computes its rows again. */
  #store(total: number): void {
    const { residence } = this.sequence;
    if (residence === null || total <= this.#stored) return;
    const { all, width, ...place } = this.#computed.latents;
    const own = this.sequence.rows - residence.window.rows;
    const count = total - this.#stored;
    const latents = all.subarray(this.#stored * width);
    residence.own.store(this.sequence, own, count, { latents, ...place });
    this.#stored = total;
    this.sequence.rows = this.#start + total;
    keepOwnPages(this.#pages, residence.own, this.sequence, own, own + count);
  }
}

/** Blocks of its own that became full become pages: the next turn of a conversation begins with them. */
function keepOwnPages(
  pages: PageSource,
  rows: OwnRows<Sequence>,
  sequence: Sequence,
  before: number,
  after: number,
): void {
  const first = Math.floor(before / blockRows) * blockRows;
  for (let row = first; row + blockRows <= after; row += blockRows) {
    const index = (sequence.encoded.splitRows + row) / blockRows;
    const name = sequence.pageNames[index];
    if (name === undefined) return;
    pages.keep(name, sequence.pageNames[index - 1] ?? null, () => rows.copyPage(sequence, row));
  }
}
