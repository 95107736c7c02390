import { describe, expect, it } from 'vitest';
import { trainBytePairs } from '../../support/make-nano/train-bpe.ts';

describe('trainBytePairs', () => {
  it('merges the most frequent pair first, and what was merged after it', () => {
    expect(trainBytePairs(['abab', 'abab', 'abc'], 2)).toEqual([
      ['a', 'b'],
      ['ab', 'ab'],
    ]);
  });

  it('takes the pair that comes first by bytes where counts are equal', () => {
    expect(trainBytePairs(['zy', 'zy', 'ba', 'ba'], 2)).toEqual([
      ['b', 'a'],
      ['z', 'y'],
    ]);
  });

  it('never merges across pieces, and counts a run of one letter without overlap', () => {
    expect(trainBytePairs(['aaa', 'aaa', 'b', 'b'], 2)).toEqual([
      ['a', 'a'],
      ['aa', 'a'],
    ]);
  });

  it('works on bytes', () => {
    expect(trainBytePairs(['é', 'é'], 1)).toEqual([['\u00c3', '\u00a9']]);
  });

  it('does not depend on the order of the pieces', () => {
    const pieces = ['the', ' then', ' there', ' the', ' other', ' the', ' then'];
    expect(trainBytePairs([...pieces].reverse(), 4)).toEqual(trainBytePairs(pieces, 4));
  });

  it('rejects text that is too short for the vocabulary', () => {
    expect(() => trainBytePairs(['ab', 'ab'], 2)).toThrowError('text gives 1 merges, 2 wanted: add text');
  });
});
