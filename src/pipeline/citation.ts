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

/** Finds the quote on its page; white space may differ, as line ends do. */
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

/** First half-open range of `text` whose words are the quote's words. */
function findWords(text: string, quote: string): { start: number; end: number } | undefined {
  const words = quote.trim().split(/\s+/).filter(Boolean);
  if (words.length === 0) return undefined;
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s+');
  const match = new RegExp(pattern, 'u').exec(text);
  return match === null ? undefined : { start: match.index, end: match.index + match[0].length };
}
