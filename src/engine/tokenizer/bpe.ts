/** A merge of two token ids into one; earlier merges come first. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly merged: number;
}

export interface BytePairTables {
  /** Token of each single byte, 256 entries. */
  readonly byteIds: readonly number[];
  readonly merges: readonly Merge[];
  /** Tokens by their bytes as Latin-1 text, when a whole piece that is a token needs no merges; else null. */
  readonly wholePieces: ReadonlyMap<string, number> | null;
}

/** Pieces of at most this many characters are remembered, and so many of them. */
const cachedCharacters = 48;
const cachedPieces = 65_536;

/**
 * Byte-level byte pair encoding: of all adjacent pairs the one with the lowest rank merges first, the leftmost of equals.
 * A heap of candidate pairs makes it O(n log n) in the bytes of a piece.
 */
export class BytePairEncoder {
  readonly #byteIds: readonly number[];
  readonly #merges: readonly Merge[];
  readonly #wholePieces: ReadonlyMap<string, number> | null;
  /** Rank by pair, keyed `left * #idSpace + right`. */
  readonly #ranks = new Map<number, number>();
  readonly #idSpace: number;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(tables: BytePairTables) {
    this.#byteIds = tables.byteIds;
    this.#merges = tables.merges;
    this.#wholePieces = tables.wholePieces;
    this.#idSpace = tables.merges.reduce(
      (top, { left, right, merged }) => Math.max(top, left + 1, right + 1, merged + 1),
      Math.max(...tables.byteIds) + 1,
    );
    for (const [rank, { left, right }] of tables.merges.entries()) {
      const key = left * this.#idSpace + right;
      if (!this.#ranks.has(key)) this.#ranks.set(key, rank);
    }
  }

  /** Appends the ids of one piece. */
  encode(piece: string, ids: number[]): void {
    if (piece.length > cachedCharacters) {
      for (const id of this.#encodeBytes(Buffer.from(piece, 'utf8'))) ids.push(id);
      return;
    }
    let cached = this.#cache.get(piece);
    if (cached === undefined) {
      cached = this.#encodeBytes(Buffer.from(piece, 'utf8'));
      if (this.#cache.size >= cachedPieces) this.#cache.clear();
      this.#cache.set(piece, cached);
    }
    for (const id of cached) ids.push(id);
  }

  #encodeBytes(bytes: Buffer): readonly number[] {
    const whole = this.#wholePieces?.get(bytes.toString('latin1'));
    if (whole !== undefined) return [whole];
    const ids = Int32Array.from(bytes, (byte) => this.#byteIds[byte] as number);
    const next = Int32Array.from(bytes, (_, index) => index + 1);
    const previous = Int32Array.from(bytes, (_, index) => index - 1);
    this.#mergeAll(ids, next, previous);
    const tokens: number[] = [];
    for (let at = 0; at < ids.length; at = next[at] as number) tokens.push(ids[at] as number);
    return tokens;
  }

  /** Merges in place: position p holds a token or is skipped by `next` of the one before. */
  #mergeAll(ids: Int32Array, next: Int32Array, previous: Int32Array): void {
    const total = ids.length;
    const heap = new NumberHeap();
    const consider = (at: number): void => {
      const after = next[at] as number;
      if (after >= total) return;
      const rank = this.#ranks.get((ids[at] as number) * this.#idSpace + (ids[after] as number));
      if (rank !== undefined) heap.push(rank * total + at);
    };
    for (let at = 0; at < total; at++) consider(at);
    for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
      const at = entry % total;
      const merge = this.#merges[(entry - at) / total] as Merge;
      const after = next[at] as number;
      // a neighbour may have merged since the entry was made
      if (ids[at] !== merge.left || after >= total || ids[after] !== merge.right) continue;
      ids[at] = merge.merged;
      ids[after] = gone;
      const beyond = next[after] as number;
      next[at] = beyond;
      if (beyond < total) previous[beyond] = at;
      if ((previous[at] as number) >= 0) consider(previous[at] as number);
      consider(at);
    }
  }
}

const gone = -1;

/** Binary heap, smallest first. */
class NumberHeap {
  readonly #entries: number[] = [];

  push(entry: number): void {
    const entries = this.#entries;
    let at = entries.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((entries[parent] as number) <= entry) break;
      entries[at] = entries[parent] as number;
      at = parent;
    }
    entries[at] = entry;
  }

  pop(): number | undefined {
    const entries = this.#entries;
    const top = entries[0];
    const last = entries.pop();
    if (last === undefined || entries.length === 0) return top;
    let at = 0;
    for (let child = 1; child < entries.length; child = 2 * at + 1) {
      if (child + 1 < entries.length && (entries[child + 1] as number) < (entries[child] as number)) child++;
      if ((entries[child] as number) >= last) break;
      entries[at] = entries[child] as number;
      at = child;
    }
    entries[at] = last;
    return top;
  }
}
