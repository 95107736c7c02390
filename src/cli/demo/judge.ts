import type { DemoDocument, DemoQuestion } from './demo-input.ts';
import { lineId } from './demo-input.ts';

export interface Citation {
  readonly page: number;
  readonly quote: string;
  readonly verified: boolean;
  /** The sentence or row in which the quote stands; null when it is not found. */
  readonly context: string | null;
}

/** The body of an answered line, as far as the demo looks at it. */
export interface ResultBody {
  readonly answer: unknown;
  readonly found: boolean | null;
  readonly parsed: boolean;
  readonly citations: readonly Citation[];
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
  };
  readonly ext: { readonly notice?: string };
}

/** An answer beside what the document says. */
export interface Judged {
  readonly customId: string;
  readonly document: DemoDocument;
  readonly question: DemoQuestion;
  readonly body: ResultBody;
  /** The answer is the document's, word for word. */
  readonly isRight: boolean;
  /** It is right, and a quote that stands on its page contains it. */
  readonly isShown: boolean;
}

/** @throws Error for a line that the demo did not ask */
export function judge(documents: readonly DemoDocument[], customId: string, body: ResultBody): Judged {
  for (const document of documents) {
    const question = document.questions.find(({ id }) => lineId(document, id) === customId);
    if (question === undefined) continue;
    const isRight = body.parsed && body.found === question.found && isSame(body.answer, question.answer);
    const wanted = normalize(question.answer);
    const isShown =
      isRight && body.citations.some(({ quote, verified }) => verified && normalize(quote).includes(wanted));
    return { customId, document, question, body, isRight, isShown };
  }
  throw new Error(`no question of the demo has the line ${JSON.stringify(customId)}`);
}

const isSame = (left: unknown, right: unknown): boolean =>
  typeof left === typeof right && normalize(left) === normalize(right);

/** White space says nothing. */
const normalize = (value: unknown): string =>
  (typeof value === 'string' ? value : JSON.stringify(value)).replace(/\s+/g, ' ').trim();
