import type { Document } from '../document/document.ts';

/** Raised together with the training data of the bundled model whenever a word of these prompts changes. */
export const dialogueVersion = 1;

/** Lines that look like our own markers: text must not be able to forge a page, a document or a question. */
const markerLine =
  /^(?=\[page \d+\]|\[outline\]|Document \d+:|Question:|Answer with JSON\.|Answer in plain text\.|error:)/gim;

/** One leading space before every line that looks like a marker. */
export function escapeMarkers(text: string): string {
  return text.replace(markerLine, ' ');
}

/** All documents of a request as one user message: everything before the question is one prefix. */
export function buildDocumentBlock(documents: readonly Document[]): string {
  return documents.map((document, index) => renderDocument(document, index + 1)).join('\n');
}

function renderDocument(document: Document, number: number): string {
  const name = document.name.replace(/\s+/g, ' ');
  const pages = document.pages.map((page) => `[page ${page.number}]\n${escapeMarkers(page.text)}\n`);
  return `Document ${number}: ${name} (${document.pages.length} ${document.pageKind})\n${pages.join('')}`;
}
