import type { Document } from './document/document.ts';
import { findNearQuote } from './near-quote.ts';
import { sentenceAround } from './sentence-around.ts';

/** A quote and the place it was found at; `start` and `end` are null when it is not on the page it names. */
export interface Citation {
  readonly document: number;
  readonly page: number;
  readonly start: number | null;
  readonly end: number | null;
  readonly quote: string;
  /** The quote's words stand on that page, apart from white space. */
  readonly verified: boolean;
  /** The model's own words, where `quote` had to be mended to be the page's; else null. */
  readonly written: string | null;
  /** The sentence or row of the page in which the quote stands; null when it is not found. */
  readonly context: string | null;
}

/**
 * Finds the quote on its page; white space may differ, as line ends do, and words may be left out where the quote says
 * so with `…`, as search results do between a heading and what stands below it.
 */
export function verifyCitation(
  documents: readonly Document[],
  cited: { readonly document: number; readonly page: number; readonly quote: string },
): Citation {
  const quote = cited.quote.trim();
  const place = { document: cited.document, page: cited.page };
  const page = documents[cited.document - 1]?.pages[cited.page - 1];
  const exact = page && findWords(page.text, quote);
  const range = exact ?? (page && findNearQuote(page.text, quote));
  if (page === undefined || range === undefined)
    return { ...place, start: null, end: null, quote, verified: false, written: null, context: null };
  const found = {
    ...place,
    start: page.start + range.start,
    end: page.start + range.end,
    verified: true,
    context: sentenceAround(page.text, range.start, range.end),
  };
  if (exact !== undefined) return { ...found, quote, written: null };
  return { ...found, quote: page.text.slice(range.start, range.end).replace(/\s+/g, ' '), written: quote };
}

/** Half-open range of `text` from the first to the last of the quote's parts, which stand there in order. */
function findWords(text: string, quote: string): { start: number; end: number } | undefined {
  const parts = quote.split(/…|\.{3,}/u).map((part) => part.split(/\s+/).filter(Boolean));
  let range: { start: number; end: number } | undefined;
  for (const words of parts.filter((part) => part.length > 0)) {
    const match = findPart(text, words.map(escapePattern).join('\\s+'), range?.end ?? 0);
    if (match === null) return undefined;
    range = { start: range?.start ?? match.index, end: match.index + match[0].length };
  }
  return range;
}

/** Where it stands as whole words, else within some: `44 months` is not meant to be the end of `144 months`. */
function findPart(text: string, pattern: string, from: number): RegExpExecArray | null {
  for (const whole of [`(?<![\\p{L}\\p{N}])${pattern}(?![\\p{L}\\p{N}])`, pattern]) {
    const search = new RegExp(whole, 'gu');
    search.lastIndex = from;
    const match = search.exec(text);
    if (match !== null) return match;
  }
  return null;
}

function escapePattern(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
