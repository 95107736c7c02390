import type { Document } from './document/document.ts';
import type { ToolUse } from './run-tool-loop.ts';
import { pagesShown } from './tools/read-pages.ts';

/** Which pages the model has read, and why not the others. */
export interface Coverage {
  readonly pages_total: number;
  readonly pages_read: number;
  readonly skipped: readonly SkippedPages[];
}

interface SkippedPages {
  readonly document: number;
  readonly from: number;
  readonly to: number;
  /** Passages of it were seen; opened, but longer than one answer of the tool; nothing. */
  readonly reason: 'searched' | 'cut' | 'not_opened';
}

/** The documents stand in the prompt: every page is read. */
export function coverAll(documents: readonly Document[]): Coverage {
  const total = countPages(documents);
  return { pages_total: total, pages_read: total, skipped: [] };
}

/** Only outlines stand there: pages count as read when `read_pages` gave them whole. */
export function coverByTools(documents: readonly Document[], uses: readonly ToolUse[]): Coverage {
  const read = new Set<string>();
  const left = new Map<string, SkippedPages['reason']>();
  for (const { name, arguments: text, result } of uses) {
    if (result.startsWith('error:')) continue;
    if (name === 'read_pages') {
      const { document } = JSON.parse(text) as { document: number };
      const { whole, cut } = pagesShown(result);
      for (const page of whole) read.add(`${document} ${page}`);
      if (cut !== null) left.set(`${document} ${cut}`, 'cut');
    }
    if (name === 'search_document') {
      for (const match of result.matchAll(/^\[(\d+), p\. (\d+)\] /gm)) {
        const page = `${match[1]} ${match[2]}`;
        if (!left.has(page)) left.set(page, 'searched');
      }
    }
  }
  const skipped = documents.flatMap(({ pages }, index) =>
    joinRanges(
      pages
        .filter(({ number }) => !read.has(`${index + 1} ${number}`))
        .map(({ number }) => ({
          document: index + 1,
          from: number,
          to: number,
          reason: left.get(`${index + 1} ${number}`) ?? ('not_opened' as const),
        })),
    ),
  );
  const total = countPages(documents);
  const unread = skipped.reduce((sum, { from, to }) => sum + to - from + 1, 0);
  return { pages_total: total, pages_read: total - unread, skipped };
}

function joinRanges(pages: readonly SkippedPages[]): readonly SkippedPages[] {
  const ranges: SkippedPages[] = [];
  for (const page of pages) {
    const last = ranges.at(-1);
    if (last !== undefined && last.to + 1 === page.from && last.reason === page.reason) {
      ranges[ranges.length - 1] = { ...last, to: page.to };
    } else ranges.push(page);
  }
  return ranges;
}

const countPages = (documents: readonly Document[]): number =>
  documents.reduce((total, { pages }) => total + pages.length, 0);
