import type { Document } from '../document/document.ts';
import { escapeMarkers } from '../prompts/document-block.prompt.ts';
import { boundArguments, declareTool, refuse, requireIntegerArgument, type Tool } from './tool.ts';

const maxPages = 8;
/** Eight sections of ordinary length, about 8,000 tokens: one page of a file without paragraphs must not fill the window. */
const maxChars = 32_000;

/** `read_pages`: pages as the document block shows them. */
export function buildReadPages(documents: readonly Document[]): Tool {
  const name = 'read_pages';
  const integer = { type: 'integer', minimum: 1 };
  const declaration = declareTool(
    name,
    `Pages of a document, at most ${maxPages} at once.`,
    { document: integer, from: integer, to: integer },
    ['document', 'from', 'to'],
  );
  const most = { maximum: Math.max(...documents.map(({ pages }) => pages.length)) };
  return {
    name,
    declaration,
    argumentSchema: boundArguments(declaration, { document: { maximum: documents.length }, from: most, to: most }),
    run: (args) => {
      const number = requireIntegerArgument(args, 'document', 1, documents.length);
      const pages = documents[number - 1]?.pages ?? [];
      const from = requireIntegerArgument(args, 'from', 1, pages.length);
      const to = requireIntegerArgument(args, 'to', 1, pages.length);
      if (to < from) throw refuse(`from is ${from} and to is ${to}; give from first`);
      const total = to - from + 1;
      if (total > maxPages) throw refuse(`${from} to ${to} are ${total} pages; read at most ${maxPages} at once`);
      const shown = pages.slice(from - 1, to);
      return cut(shown.map((page) => `[page ${page.number}]\n${escapeMarkers(page.text)}`).join('\n'));
    },
  };
}

/** Which pages a result of the tool has to their ends, and which one it breaks off in. */
export function pagesShown(result: string): { readonly whole: readonly number[]; readonly cut: number | null } {
  const numbers = [...result.matchAll(/^\[page (\d+)\]$/gm)].map(([, number]) => Number(number));
  const isCut = /\n\(\d+ characters more; find them with search_document\)$/.test(result);
  return isCut ? { whole: numbers.slice(0, -1), cut: numbers.at(-1) ?? null } : { whole: numbers, cut: null };
}

function cut(text: string): string {
  if (text.length <= maxChars) return text;
  // not between the halves of a character
  const end = /[\ud800-\udbff]/.test(text.charAt(maxChars - 1)) ? maxChars - 1 : maxChars;
  return `${text.slice(0, end)}\n(${text.length - end} characters more; find them with search_document)`;
}
