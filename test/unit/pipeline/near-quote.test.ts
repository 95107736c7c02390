import { describe, expect, it } from 'vitest';
import { findNearQuote } from '../../../src/pipeline/near-quote.ts';

const page = [
  'The deposit for Lot 4, as agreed on 2026-05-01, comes to EUR 4,200.',
  'In the case of Lot 9 the parties recorded',
  'a deposit of EUR 9,100.',
  'Access needs a key.',
].join('\n');

function found(quote: string, text = page): string | null {
  const range = findNearQuote(text, quote);
  return range === undefined ? null : text.slice(range.start, range.end);
}

describe('findNearQuote', () => {
  it.each([
    [
      'a small word changed',
      'deposit of Lot 4, as agreed on 2026-05-01, comes to EUR 4,200',
      /^deposit for Lot 4.*EUR 4,200$/s,
    ],
    ['words put before', 'The deposit of Lot 9 the parties recorded a deposit of EUR 9,100', /Lot 9 the.*EUR 9,100$/s],
    ['words left out', 'deposit for Lot 4 comes to EUR 4,200', /^deposit for Lot 4.*EUR 4,200$/s],
    [
      'other punctuation and case',
      'DEPOSIT FOR LOT 4 (as agreed on 2026-05-01) comes to EUR 4,200!',
      /^deposit for Lot 4.*4,200$/s,
    ],
  ])('finds the place of a quote with %s', (_, quote, words) => {
    expect(found(quote)).toMatch(words);
  });

  it.each([
    ['another number', 'deposit for Lot 4, as agreed on 2026-05-01, comes to EUR 4,300'],
    ['a number of another place', 'In the case of Lot 9 the parties recorded a deposit of EUR 4,200'],
    ['too few words of the page', 'the deposit for Lot 4 was waived by the landlord last year'],
    ['too few words', 'EUR 4,200'],
    ['nothing', ''],
  ])('does not find a quote with %s', (_, quote) => {
    expect(found(quote)).toBeNull();
  });

  it('does not choose between two places that would do equally well', () => {
    const twins = 'The rent of Lot A is due in May. The fee of Lot A is due in May.';
    expect(found('The cost of Lot A is due in May', twins)).toBeNull();
    expect(found('The rent of Lot A was due in May', twins)).toBe('The rent of Lot A is due in May');
  });

  it('looks for nothing on a page beyond its limit', () => {
    expect(found('a deposit of EUR 9,100 now', `${'word '.repeat(20_000)}${page}`)).toBeNull();
  });
});
