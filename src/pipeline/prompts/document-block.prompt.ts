import type { Document } from '../document/document.ts';

/** Raised together with the training data of the bundled model whenever a word of these prompts changes, or their order. */
export const dialogueVersion = 2;

/** Lines that look like our own markers: text must not be able to forge a page, a document or a question. */
const markerLine =
  /^(?=\[page \d+\]|\[outline\]|Document \d+:|Question:|Answer with JSON\.|Answer in plain text\.|error:)/gim;

/** An outline is a help, not the document: what has more headings is searched. A model's `quire.json` may say fewer. */
const maxOutlineLines = 400;

/** One leading space before every line that looks like a marker. */
export function escapeMarkers(text: string): string {
  return text.replace(markerLine, ' ');
}

/** All documents of a request as one user message: everything before the question is one prefix. */
export function buildDocumentBlock(documents: readonly Document[]): string {
  return documents.map((document, index) => renderDocument(document, index + 1)).join('\n');
}

/** The same for documents that are too long to be shown: headings with their pages. The rest is read with tools. */
export function buildOutlineBlock(documents: readonly Document[], mostLines: number | null = null): string {
  const most = Math.min(mostLines ?? maxOutlineLines, maxOutlineLines);
  return documents.map((document, index) => renderOutline(document, index + 1, most)).join('\n');
}

/** At most so many headings: the first ones, and only those of the first level where all would be too many. */
function renderOutline(document: Document, number: number, most: number): string {
  const lines = document.pages.flatMap((page) =>
    escapeMarkers(page.text)
      .split('\n')
      .filter((line) => /^#{1,2}\s/.test(line))
      .map((line) => `${line} (p. ${page.number})`),
  );
  const shown = lines.length <= most ? lines : lines.filter((line) => /^#\s/.test(line));
  return `${renderTitle(document, number)}\n[outline]\n${shown.slice(0, most).join('\n')}\n`;
}

function renderTitle(document: Document, number: number): string {
  const name = document.name.replace(/\s+/g, ' ');
  return `Document ${number}: ${name} (${document.pages.length} ${document.pageKind})`;
}

function renderDocument(document: Document, number: number): string {
  const pages = document.pages.map((page) => `[page ${page.number}]\n${escapeMarkers(page.text)}\n`);
  return `${renderTitle(document, number)}\n${pages.join('')}`;
}
