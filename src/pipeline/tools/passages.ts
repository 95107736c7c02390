import type { Document } from '../document/document.ts';

/** A stretch of one page, short enough to be read whole, with the lines above it that say what it is about. */
export interface Passage {
  readonly page: number;
  /** White space joined: one line. */
  readonly text: string;
  /** Nearest heading above and, for a table's row, the table's header. */
  readonly context: readonly string[];
}

/** About 70 tokens, so that five passages are evidence a small model can read at once. */
const targetChars = 280;

const heading = /^#{1,6}\s+\S/;
const tableRow = /^\s*\|.*\|\s*$/;
const tableRule = /^\s*\|[\s:|-]+\|\s*$/;
const listEntry = /^\s*(?:[-*•]|\d+(?:\.\d+)*[.)]?|\([a-z\d]+\))\s+\S/;

/** Paragraphs, list entries and table rows; a long paragraph is cut at sentence ends. */
export function cutPassages(document: Document): readonly Passage[] {
  const cutter = new Cutter();
  for (const page of document.pages) cutter.addPage(page.number, page.text);
  return cutter.passages;
}

class Cutter {
  readonly passages: Passage[] = [];
  #page = 1;
  /** Goes on over page ends, as a chapter does; a table's header does not. */
  #title: string | null = null;
  #header: string | null = null;
  #paragraph: string[] = [];

  addPage(number: number, text: string): void {
    this.#page = number;
    this.#header = null;
    for (const line of text.split('\n')) this.#addLine(line);
    this.#endParagraph();
  }

  #addLine(line: string): void {
    if (tableRow.test(line)) {
      this.#addRow(line);
      return;
    }
    this.#header = null;
    if (heading.test(line)) {
      this.#endParagraph();
      // a heading is a passage too: a question may be about it
      this.#title = joinSpace(line);
      this.#push(this.#title, null, null);
      return;
    }
    if (line.trim() === '' || listEntry.test(line)) this.#endParagraph();
    if (line.trim() !== '') this.#paragraph.push(line);
  }

  #addRow(line: string): void {
    this.#endParagraph();
    if (tableRule.test(line)) return;
    const row = joinSpace(line);
    this.#push(row, this.#title, this.#header);
    this.#header ??= row;
  }

  #endParagraph(): void {
    const text = joinSpace(this.#paragraph.join(' '));
    this.#paragraph = [];
    if (text === '') return;
    for (const part of cutSentences(text)) this.#push(part, this.#title, null);
  }

  #push(text: string, title: string | null, header: string | null): void {
    this.passages.push({ page: this.#page, text, context: [title, header].filter((line) => line !== null) });
  }
}

function joinSpace(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** Sentences gathered up to the target; one sentence longer than that is cut at spaces. */
function cutSentences(text: string): readonly string[] {
  const passages: string[] = [];
  for (const part of text.split(/(?<=[.!?;。！？])\s+/u).flatMap(cutWords)) {
    const last = passages.at(-1);
    if (last !== undefined && last.length + 1 + part.length <= targetChars) {
      passages[passages.length - 1] = `${last} ${part}`;
    } else passages.push(part);
  }
  return passages;
}

function cutWords(sentence: string): readonly string[] {
  const parts: string[] = [];
  let rest = sentence;
  while (rest.length > targetChars) {
    const space = rest.lastIndexOf(' ', targetChars);
    const splitsPair = /[\ud800-\udbff]/.test(rest.charAt(targetChars - 1));
    const end = space > 0 ? space : splitsPair ? targetChars - 1 : targetChars;
    parts.push(rest.slice(0, end));
    rest = rest.slice(end).trimStart();
  }
  return [...parts, rest];
}
