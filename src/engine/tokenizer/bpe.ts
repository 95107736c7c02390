/** Which neighbours become one token, and in what order. */
export interface PairTable {
  /**
   * Rank of joining two neighbours, the lower first; -1 when they do not join.
   * @param bytes the whole piece as Latin-1 text, in which the pair stands at [start, end)
   */
  rankOf(left: number, right: number, bytes: string, start: number, end: number): number;
  /** The token that a join of this rank makes. */
  joinedId(rank: number): number;
}

/** A merge of two token ids into one; earlier merges come first. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  readonly merged: number;
}

/** Pairs by a list of merges. */
export function buildMergeTable(merges: readonly Merge[]): PairTable {
  const idSpace = merges.reduce((top, { left, right }) => Math.max(top, left + 1, right + 1), 1);
  const ranks = new Map<number, number>();
  for (const [rank, { left, right }] of merges.entries()) {
    const key = left * idSpace + right;
    if (!ranks.has(key)) ranks.set(key, rank);
  }
  return {
    rankOf: (left, right) => (left < idSpace && right < idSpace ? (ranks.get(left * idSpace + right) ?? -1) : -1),
    joinedId: (rank) => (merges[rank] as Merge).merged,
  };
}

/** Pairs by what they spell: any two neighbours join whose bytes together are a token, its id is the rank (tiktoken). */
export function buildSpellingTable(ids: ReadonlyMap<string, number>): PairTable {
  let longest = 0;
  for (const bytes of ids.keys()) longest = Math.max(longest, bytes.length);
  return {
    rankOf: (_left, _right, bytes, start, end) =>
      end - start > longest ? -1 : (ids.get(bytes.slice(start, end)) ?? -1),
    joinedId: (rank) => rank,
  };
}

export interface BytePairTables {
  /** Token of each single byte, 256 entries. */
  readonly byteIds: readonly number[];
  readonly pairs: PairTable;
  /** Tokens by their bytes as Latin-1 text, when a whole piece that is a token needs no joining; else null. */
  readonly wholePieces: ReadonlyMap<string, number> | null;
}

/** Pieces of at most this many characters are remembered, and so many of them. */
const cachedCharacters = 48;
const cachedPieces = 65_536;

/**
 * Byte-level byte pair encoding: of all adjacent pairs the one with the lowest rank joins first, the leftmost of equals.
 * A heap of candidate pairs makes it O(n log n) in the bytes of a piece.
 */
export class BytePairEncoder {
  readonly #byteIds: readonly number[];
  readonly #pairs: PairTable;
  readonly #wholePieces: ReadonlyMap<string, number> | null;
  readonly #cache = new Map<string, readonly number[]>();

  constructor(tables: BytePairTables) {
    this.#byteIds = tables.byteIds;
    this.#pairs = tables.pairs;
    this.#wholePieces = tables.wholePieces;
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
    const text = bytes.toString('latin1');
    const whole = this.#wholePieces?.get(text);
    if (whole !== undefined) return [whole];
    const ids = Int32Array.from(bytes, (byte) => this.#byteIds[byte] as number);
    const next = this.#joinAll(ids, text);
    const tokens: number[] = [];
    for (let at = 0; at < ids.length; at = next[at] as number) tokens.push(ids[at] as number);
    return tokens;
  }

  /** Joins in place: position p holds a token, or is skipped by the `next` of the one before. Returns `next`. */
  #joinAll(ids: Int32Array, text: string): Int32Array {
    const total = ids.length;
    const next = Int32Array.from(ids, (_, index) => index + 1);
    const previous = Int32Array.from(ids, (_, index) => index - 1);
    // of the pair that begins at each position as it stands now; heap entries that say otherwise are out of date
    const ranks = new Int32Array(total).fill(-1);
    const heap = new NumberHeap();
    const consider = (at: number): void => {
      const after = next[at] as number;
      const rank =
        after < total
          ? this.#pairs.rankOf(ids[at] as number, ids[after] as number, text, at, next[after] as number)
          : -1;
      ranks[at] = rank;
      if (rank >= 0) heap.push(rank * total + at);
    };
    for (let at = 0; at < total; at++) consider(at);
    for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
      const at = entry % total;
      const rank = (entry - at) / total;
      if (ranks[at] !== rank) continue;
      const after = next[at] as number;
      const beyond = next[after] as number;
      ids[at] = this.#pairs.joinedId(rank);
      ranks[after] = -1;
      next[at] = beyond;
      if (beyond < total) previous[beyond] = at;
      if ((previous[at] as number) >= 0) consider(previous[at] as number);
      consider(at);
    }
    return next;
  }
}

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
