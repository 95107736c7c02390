import type { Document } from './document/document.ts';

/** A quote and the place it was found at; `start` and `end` are null when it is not on the page it names. */
export interface Citation {
  readonly document: number;
  readonly page: number;
  readonly start: number | null;
  readonly end: number | null;
  readonly quote: string;
  /** The quote's words stand on that page, apart from white space. */
  readonly verified: boolean;
}

/**
 * Finds the quote on its page; white space may differ, as line ends do, and words may be left out where the quote says
 * so with `…`, as search results do between a heading and what stands below it.
 */
export function verifyCitation(
  documents: readonly Document[],
  cited: { readonly document: number; readonly page: number; readonly quote: string },
): Citation {
  const page = documents[cited.document - 1]?.pages[cited.page - 1];
  const range = page === undefined ? undefined : findWords(page.text, cited.quote);
  const found = range !== undefined && page !== undefined;
  return {
    document: cited.document,
    page: cited.page,
    start: found ? page.start + range.start : null,
    end: found ? page.start + range.end : null,
    quote: cited.quote.trim(),
    verified: found,
  };
}

/** Half-open range of `text` from the first to the last of the quote's parts, which stand there in order. */
function findWords(text: string, quote: string): { start: number; end: number } | undefined {
  const parts = quote.split(/…|\.{3,}/u).map((part) => part.split(/\s+/).filter(Boolean));
  let range: { start: number; end: number } | undefined;
  for (const words of parts.filter((part) => part.length > 0)) {
    const pattern = new RegExp(words.map(escapePattern).join('\\s+'), 'gu');
    pattern.lastIndex = range?.end ?? 0;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    range = { start: range?.start ?? match.index, end: match.index + match[0].length };
  }
  return range;
}

function escapePattern(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
