import { describe, expect, it } from 'vitest';
import { sentenceAround } from '../../../src/pipeline/sentence-around.ts';

function around(text: string, quote: string): string {
  const start = text.indexOf(quote);
  return sentenceAround(text, start, start + quote.length);
}

describe('sentenceAround', () => {
  it.each([
    [
      'one of several sentences',
      'Ash is 1. As regards Elm, the fee is EUR 2.50. Oak is 3.',
      'is EUR 2.50',
      'As regards Elm, the fee is EUR 2.50.',
    ],
    [
      'a sentence over several lines',
      'Ash is old.\nThe fee of Elm\nwas set\nat EUR 2.\nOak is 3.',
      'at EUR 2',
      'The fee of Elm was set at EUR 2.',
    ],
    ['a row of a table', '| Name | Fee |\n|---|---|\n| Elm | 2 |\n| Oak | 3 |', '| 2', '| Elm | 2 |'],
    ['an entry of a list', '## Elm\n- fee: 2\n- term: 3 days\n', '3 days', '- term: 3 days'],
    ['a quote over two sentences', 'Ash fell. Elm grew. Oak burnt. Fir stood.', 'grew. Oak', 'Elm grew. Oak burnt.'],
    ['the whole of a text without ends', 'fee 2', '2', 'fee 2'],
  ])('gives %s', (_, text, quote, expected) => {
    expect(around(text, quote)).toBe(expected);
  });

  it('ends where no reader would look further', () => {
    const text = `${'ash '.repeat(2_000)}fee 2 ${'oak '.repeat(2_000)}`;
    expect(around(text, 'fee 2').length).toBeLessThan(1_300);
  });
});
