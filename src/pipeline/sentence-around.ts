/** Characters looked at before and behind a quote; no sentence worth showing is longer. */
const reach = 600;

const sentences = new Intl.Segmenter('en', { granularity: 'sentence' });

/**
 * The sentences, row or lines of `text` in which the characters from `start` to `end` stand, in one line: a few words by
 * themselves do not say what they are about.
 */
export function sentenceAround(text: string, start: number, end: number): string {
  const from = Math.max(0, start - reach);
  const window = joinLines(text.slice(from, end + reach));
  const parts = [...sentences.segment(window)].filter(
    ({ index, segment }) => index < end - from && index + segment.length > start - from,
  );
  return parts
    .map(({ segment }) => segment)
    .join('')
    .replace(/\s+/g, ' ')
    .trim();
}

/** A line that goes on with a small letter is no end of a sentence. The length stays. */
function joinLines(text: string): string {
  return text.replace(/\n(?=\p{Ll})/gu, ' ');
}
