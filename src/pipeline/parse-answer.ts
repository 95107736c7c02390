import type { Citation } from './citation.ts';
import { unfound, verifyCitation } from './citation.ts';
import type { Document } from './document/document.ts';

export interface ParsedAnswer {
  readonly parsed: boolean;
  readonly answer: unknown;
  readonly found: boolean | null;
  readonly citations: readonly Citation[];
  /** The text as it came, when it could not be read; else null. */
  readonly raw: string | null;
}

/** JSON answer text → answer with checked citations. Text that is no such answer is kept, not thrown. */
export function parseJsonAnswer(content: string, documents: readonly Document[]): ParsedAnswer {
  const value = readJson(content);
  if (!isAnswer(value)) return { parsed: false, answer: null, found: null, citations: [], raw: content };
  const citations = value.citations.map((cited) => verifyCitation(documents, cited));
  return { parsed: true, answer: trimTexts(value.answer), found: value.found, citations, raw: null };
}

/** A text, or those of a list, without the white space around them: it says nothing. What a caller's object holds is left alone. */
function trimTexts(answer: unknown): unknown {
  if (Array.isArray(answer)) return answer.map(trimTexts);
  return typeof answer === 'string' ? answer.trim() : answer;
}

/** Prose with citations written `[1, p. 9]`: the places are checked to exist; there is no quote to verify. */
export function parseTextAnswer(content: string, documents: readonly Document[]): ParsedAnswer {
  const citations: Citation[] = [];
  for (const match of content.matchAll(/\[(\d+), p\. (\d+)\]/g)) {
    const [document, page] = [Number(match[1]), Number(match[2])];
    if (documents[document - 1]?.pages[page - 1] === undefined) continue;
    citations.push(unfound(document, page));
  }
  return { parsed: true, answer: content.trim(), found: null, citations, raw: null };
}

interface AnswerValue {
  readonly answer: unknown;
  readonly found: boolean;
  readonly citations: readonly { document: number; page: number; quote: string }[];
}

function readJson(content: string): unknown {
  try {
    return JSON.parse(content);
  } catch {
    return undefined;
  }
}

function isAnswer(value: unknown): value is AnswerValue {
  if (typeof value !== 'object' || value === null) return false;
  const { answer, found, citations } = value as Record<string, unknown>;
  return answer !== undefined && typeof found === 'boolean' && Array.isArray(citations) && citations.every(isCited);
}

function isCited(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { document, page, quote } = value as Record<string, unknown>;
  return Number.isInteger(document) && Number.isInteger(page) && typeof quote === 'string';
}
