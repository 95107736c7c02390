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
  /** Some quote stands on its page and contains the expected value; null where the document says nothing. */
  readonly isCited: boolean | null;
  /** Another entity has the same attribute: the stratum that shows retrieval. */
  readonly isContested: boolean;
  /** What a guess among the facts with the asked attribute would get. */
  readonly guess: number;
  readonly toolCalls: number;
  readonly refusedCalls: number;
}

interface Citation {
  readonly quote: string;
  readonly verified: boolean;
}

export function score(question: EvaluationQuestion, { body, isAnswered }: Reply): Score {
  const isValid = isAnswered && body['parsed'] === true;
  const citations = (body['citations'] ?? []) as readonly Citation[];
  const calls = ((body['ext'] as Record<string, unknown> | undefined)?.['tool_calls'] ?? []) as readonly {
    readonly error: string | null;
  }[];
  const value = body['answer'];
  return {
    kind: question.kind,
    isValid,
    isExact: isValid && isSame(value, question.answer) && body['found'] === question.found,
    f1: isValid ? wordOverlap(asText(value), asText(question.answer)) : 0,
    isCited: question.found ? citations.some((one) => one.verified && holds(one.quote, question.answer)) : null,
    isContested: question.rivals.attribute > 0,
    guess: 1 / (1 + question.rivals.attribute),
    toolCalls: calls.length,
    refusedCalls: calls.filter(({ error }) => error !== null).length,
  };
}

/** Equal JSON; numbers as numbers, text apart from white space. */
export function isSame(left: unknown, right: unknown): boolean {
  return asText(left) === asText(right) && typeof left === typeof right;
}

/** A value that is computed or judged stands in no quote: then any verified quote counts. */
function holds(quote: string, answer: unknown): boolean {
  if (typeof answer === 'boolean' || (typeof answer === 'object' && answer !== null)) return true;
  return normalize(quote).includes(asText(answer));
}

function asText(value: unknown): string {
  return normalize(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''));
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
