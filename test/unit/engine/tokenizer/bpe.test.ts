import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BytePairEncoder,
  buildMergeTable,
  buildSpellingTable,
  type Merge,
} from '../../../../src/engine/tokenizer/bpe.ts';

const byteIds = Array.from({ length: 256 }, (_, byte) => byte);
const [a, b, c] = [0x61, 0x62, 0x63];

/** The definition, word for word: the pair of lowest rank, leftmost first, until none is left. */
function encodePlainly(bytes: readonly number[], merges: readonly Merge[]): readonly number[] {
  const ids = [...bytes];
  for (;;) {
    const best = merges
      .map(({ left, right }, rank) => ({ rank, at: ids.findIndex((id, i) => id === left && ids[i + 1] === right) }))
      .find(({ at }) => at >= 0);
    if (best === undefined) return ids;
    ids.splice(best.at, 2, merges[best.rank]?.merged ?? 0);
  }
}

/** The definition again: of all neighbours that spell a token the one of lowest rank, leftmost first. */
function joinPlainly(text: string, tokens: ReadonlyMap<string, number>): readonly number[] {
  const parts = [...text];
  for (;;) {
    const ranks = parts.slice(1).map((part, index) => tokens.get(parts[index] + part) ?? Number.POSITIVE_INFINITY);
    const best = Math.min(...ranks);
    if (!Number.isFinite(best)) return parts.map((part) => tokens.get(part) ?? -1);
    const at = ranks.indexOf(best);
    parts.splice(at, 2, `${parts[at]}${parts[at + 1]}`);
  }
}

describe('BytePairEncoder', () => {
  const merges: readonly Merge[] = [
    { left: a, right: b, merged: 256 },
    { left: b, right: c, merged: 257 },
    { left: 256, right: 256, merged: 258 },
    { left: a, right: a, merged: 259 },
    { left: 259, right: 259, merged: 260 },
    { left: 256, right: c, merged: 261 },
    { left: 258, right: 261, merged: 262 },
  ];
  const encode = (text: string, wholePieces: ReadonlyMap<string, number> | null = null): readonly number[] => {
    const ids: number[] = [];
    new BytePairEncoder({ byteIds, pairs: buildMergeTable(merges), wholePieces }).encode(text, ids);
    return ids;
  };

  it('merges by rank, then from the left', () => {
    expect(encode('abc')).toEqual([261]);
    expect(encode('aaaaa')).toEqual([260, a]);
  });

  it('equals the definition on random words, short ones and those beyond the cache', () => {
    const word = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 90 }).map((letters) => letters.join(''));
    fc.assert(
      fc.property(word, (text) => {
        expect(encode(text)).toEqual(encodePlainly([...Buffer.from(text)], merges));
      }),
      { seed: 11, numRuns: 300 },
    );
  });

  it('joins by spelling where the ranks are the tokens, whatever the parts were', () => {
    // `abc` comes of `ab` and `c`, and of `a` and `bc`
    const spellings = ['ab', 'bc', 'aa', 'abc', 'abab', 'cab', 'bcab', 'aaa', 'abcabc', 'cc', 'aab'];
    const tokens = new Map(byteIds.map((byte) => [String.fromCharCode(byte), byte]));
    for (const spelling of spellings) tokens.set(spelling, tokens.size);
    const encoder = new BytePairEncoder({ byteIds, pairs: buildSpellingTable(tokens), wholePieces: null });
    const word = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 90 }).map((letters) => letters.join(''));
    fc.assert(
      fc.property(word, (text) => {
        const ids: number[] = [];
        encoder.encode(text, ids);
        expect(ids).toEqual(joinPlainly(text, tokens));
      }),
      { seed: 12, numRuns: 300 },
    );
  });

  it('takes a piece that is a token as it is where the file says so', () => {
    expect(encode('aab', new Map([['aab', 300]]))).toEqual([300]);
  });
});
