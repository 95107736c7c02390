import { AppError } from '../../base/errors.ts';
import type { Document, Page } from './document.ts';

/** Formats without pages are cut into sections of about this many characters. */
const sectionChars = 3_000;

const textExtensions = ['txt', 'md', 'markdown', 'text', 'log', 'csv', 'json'] as const;

/**
 * Text and Markdown → pages. A form feed ends a page; without any, sections are cut at paragraph ends.
 * @throws `input.media-type` for another format, `input.encoding` for bytes that are no UTF-8, `input.invalid-request`
 *   for a document without text
 */
export function parseDocument(name: string, bytes: Uint8Array): Document {
  const extension = /\.([^./]+)$/.exec(name)?.[1]?.toLowerCase() ?? 'txt';
  if (!(textExtensions as readonly string[]).includes(extension)) {
    throw new AppError(
      'input.media-type',
      `document ${JSON.stringify(name)} is of type .${extension}, which cannot be read yet; allowed: ${textExtensions.map((type) => `.${type}`).join(', ')}`,
      { param: 'documents' },
    );
  }
  return paginate(name, decodeUtf8(name, bytes));
}

function decodeUtf8(name: string, bytes: Uint8Array): string {
  try {
    // a byte order mark is dropped, CRLF and CR become LF
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes).replace(/\r\n?/g, '\n');
  } catch (cause) {
    throw new AppError('input.encoding', `document ${JSON.stringify(name)} is not valid UTF-8`, {
      param: 'documents',
      cause,
    });
  }
}

/** Text that is already decoded → a document. @throws `input.invalid-request` when nothing but white space is in it */
export function paginate(name: string, raw: string): Document {
  if (raw.trim() === '') {
    throw new AppError('input.invalid-request', `document ${JSON.stringify(name)} has no text`, { param: 'documents' });
  }
  const hasPages = raw.includes('\f');
  const parts = hasPages ? raw.split('\f').map((part) => part.replace(/^\n|\n$/g, '')) : cutSections(raw);
  // a break at the very end starts no page
  if (hasPages && parts.at(-1)?.trim() === '') parts.pop();
  const pages: Page[] = [];
  let start = 0;
  for (const [index, text] of parts.entries()) {
    pages.push({ number: index + 1, text, start });
    start += text.length + 1;
  }
  return { name, pages, pageKind: hasPages ? 'pages' : 'sections', text: parts.join('\n') };
}

function cutSections(text: string): string[] {
  const sections: string[] = [];
  let rest = text.replace(/\n+$/, '');
  while (rest.length > sectionChars * 1.5) {
    const cut = sectionEnd(rest);
    sections.push(rest.slice(0, cut).replace(/\n+$/, ''));
    rest = rest.slice(cut).replace(/^\n+/, '');
  }
  sections.push(rest);
  return sections;
}

/** The paragraph end nearest below the target, else a line end, else a space, else a hard cut between characters. */
function sectionEnd(text: string): number {
  for (const separator of ['\n\n', '\n', ' ']) {
    const at = text.lastIndexOf(separator, sectionChars);
    if (at > sectionChars / 2) return at + separator.length;
  }
  const codeUnit = text.charCodeAt(sectionChars - 1);
  const splitsPair = codeUnit >= 0xd800 && codeUnit <= 0xdbff;
  return splitsPair ? sectionChars - 1 : sectionChars;
}
