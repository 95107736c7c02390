import type { Document, Page } from './document/document.ts';
import { findNearQuote, type Range } from './near-quote.ts';
import { sentenceAround } from './sentence-around.ts';

/** A quote and the place it was found at; `start` and `end` are null when it is found nowhere. */
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
  /** The page the model named, where the quote stands on another one and on no third; else null. */
  readonly written_page: number | null;
  /** The sentence or row of the page in which the quote stands; null when it is not found. */
  readonly context: string | null;
}

/**
 * Finds the quote on its page; white space may differ, as line ends do, and words may be left out where the quote says
 * so with `…`, as search results do between a heading and what stands below it. A quote that is not there, and stands word
 * for word on exactly one other page of its document, gets that page.
 */
export function verifyCitation(
  documents: readonly Document[],
  cited: { readonly document: number; readonly page: number; readonly quote: string },
): Citation {
  const quote = cited.quote.trim();
  const pages = documents[cited.document - 1]?.pages ?? [];
  const named = pages[cited.page - 1];
  const exact = named && findWords(named.text, quote);
  if (named && exact) return present(cited, named, exact, { quote });
  const [place, ...more] = pages.flatMap((page) => {
    const range = findWholeWords(page.text, quote);
    return range === undefined ? [] : [{ page, range }];
  });
  if (place !== undefined && more.length === 0)
    return present({ ...cited, page: place.page.number }, place.page, place.range, { quote, written_page: cited.page });
  const near = named && findNearQuote(named.text, quote);
  if (!named || !near) return { ...unfound(cited.document, cited.page), quote };
  const words = named.text.slice(near.start, near.end).replace(/\s+/g, ' ');
  return present(cited, named, near, { quote: words, written: quote });
}

/** What names a page, and no words that can be found there. */
export function unfound(document: number, page: number): Citation {
  const nothing = { start: null, end: null, written: null, written_page: null, context: null };
  return { document, page, quote: '', verified: false, ...nothing };
}

function present(
  { document, page }: { readonly document: number; readonly page: number },
  { text, start }: Page,
  range: Range,
  said: Pick<Citation, 'quote'> & Partial<Pick<Citation, 'written' | 'written_page'>>,
): Citation {
  return {
    ...unfound(document, page),
    start: start + range.start,
    end: start + range.end,
    verified: true,
    context: sentenceAround(text, range.start, range.end),
    ...said,
  };
}

/** Half-open range of `text` from the first to the last of the quote's parts, which stand there in order. */
function findWords(text: string, quote: string): Range | undefined {
  // `44 months` is not meant to be the end of `144 months`
  return findWholeWords(text, quote) ?? findParts(text, quote, (pattern) => pattern);
}

function findWholeWords(text: string, quote: string): Range | undefined {
  return findParts(text, quote, (pattern) => `(?<![\\p{L}\\p{N}])${pattern}(?![\\p{L}\\p{N}])`);
}

function findParts(text: string, quote: string, bound: (pattern: string) => string): Range | undefined {
  const parts = quote.split(/…|\.{3,}/u).map((part) => part.split(/\s+/).filter(Boolean));
  let range: Range | undefined;
  for (const words of parts.filter((part) => part.length > 0)) {
    const search = new RegExp(bound(words.map(escapePattern).join('\\s+')), 'gu');
    search.lastIndex = range?.end ?? 0;
    const match = search.exec(text);
    if (match === null) return undefined;
    range = { start: range?.start ?? match.index, end: match.index + match[0].length };
  }
  return range;
}

function escapePattern(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
