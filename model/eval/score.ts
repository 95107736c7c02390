import type { EvaluationQuestion } from './evaluation-set.ts';
import type { Reply } from './product.ts';

/** What is seen of one reply. */
export interface Score {
  readonly kind: string;
  /** The line was answered with JSON of the asked schema. */
  readonly isValid: boolean;
  /** The answer is the expected value, type and all, and `found` is what it should be. */
  readonly isExact: boolean;
  /** Share of words, 0 to 1: harmonic mean of precision and recall. */
  readonly f1: number;
  /** Quotes that stand on their pages show all that proves the answer; null where the document says nothing. */
  readonly isCited: boolean | null;
  /** A quote stood on another page than the model wrote; the product found which. */
  readonly isMoved: boolean;
  /** Another entity has the same attribute: the stratum that shows retrieval. */
  readonly isContested: boolean;
  /** Neither entity nor attribute can be done without, and all values look alike. */
  readonly needsBoth: boolean;
  /** What a guess would get; see `EvaluationQuestion`. */
  readonly guess: number | null;
  readonly toolCalls: number;
  readonly refusedCalls: number;
}

interface Citation {
  readonly quote: string;
  readonly verified: boolean;
  readonly written_page?: number | null;
}

export function score(question: EvaluationQuestion, { body, isAnswered }: Reply): Score {
  const isValid = isAnswered && body['parsed'] === true;
  const citations = (body['citations'] ?? []) as readonly Citation[];
  const calls = ((body['ext'] as Record<string, unknown> | undefined)?.['tool_calls'] ?? []) as readonly {
    readonly error: string | null;
  }[];
  const isExact = isValid && isRight(question, body, citations);
  return {
    kind: question.kind,
    isValid,
    isExact,
    f1: isValid ? (isExact ? 1 : wordOverlap(asText(body['answer']), asText(question.answer))) : 0,
    isCited: question.found ? isProved(question, citations) : null,
    isMoved: citations.some(({ written_page: page }) => typeof page === 'number'),
    isContested: question.rivals.attribute > 0,
    needsBoth: question.needsBoth,
    guess: question.guess,
    toolCalls: calls.length,
    refusedCalls: calls.filter(({ error }) => error !== null).length,
  };
}

/** That a document does not say something is said by `found`, without quotes; the words beside it are free. */
function isRight(question: EvaluationQuestion, body: Reply['body'], citations: readonly Citation[]): boolean {
  if (body['found'] !== question.found) return false;
  return question.found ? isSame(body['answer'], question.answer) : citations.length === 0;
}

function isProved({ evidence }: EvaluationQuestion, citations: readonly Citation[]): boolean {
  const quotes = citations.filter(({ verified }) => verified).map(({ quote }) => normalize(quote));
  return quotes.length > 0 && evidence.every((value) => quotes.some((quote) => quote.includes(normalize(value))));
}

/** Equal JSON, types and all; text apart from white space, lists and objects in any order. */
export function isSame(left: unknown, right: unknown): boolean {
  return typeof left === typeof right && asText(left) === asText(right);
}

function asText(value: unknown): string {
  return typeof value === 'string' ? normalize(value) : (JSON.stringify(sorted(value)) ?? '');
}

function sorted(value: unknown): unknown {
  if (typeof value === 'string') return normalize(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(sorted).sort(byJson);
  const entries = Object.entries(value).map(([name, member]) => [normalize(name), sorted(member)]);
  return Object.fromEntries(entries.sort(byJson));
}

function byJson(left: unknown, right: unknown): number {
  const [a, b] = [JSON.stringify(left), JSON.stringify(right)];
  return a < b ? -1 : Number(a > b);
}

function normalize(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/** F1 over words, each counted as often as it stands there. */
export function wordOverlap(left: string, right: string): number {
  const [a, b] = [left, right].map((text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
  if (a === undefined || b === undefined || a.length === 0 || b.length === 0) return a?.length === b?.length ? 1 : 0;
  const counts = new Map<string, number>();
  for (const word of a) counts.set(word, (counts.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of b) {
    const remaining = counts.get(word) ?? 0;
    if (remaining > 0) shared++;
    counts.set(word, remaining - 1);
  }
  return (2 * shared) / (a.length + b.length);
}
