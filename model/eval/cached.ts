import { isDeepStrictEqual } from 'node:util';
import type { EvaluationDocument, EvaluationQuestion } from './evaluation-set.ts';
import type { Reply } from './product.ts';

/** Questions asked behind a document that was read before, and again without anything kept. */
export interface CacheCheck {
  readonly questions: number;
  readonly identical: number;
  /** Questions that show nothing: read anew behind a document read before, or from pages where none are kept. */
  readonly void: number;
  /** Prompt tokens that were not read the first way. */
  readonly cachedTokens: number;
}

export interface AskedBothWays {
  readonly document: EvaluationDocument;
  readonly question: EvaluationQuestion;
  readonly cached: Reply;
  readonly uncached: Reply;
}

export function compareReplies(asked: readonly AskedBothWays[]): CacheCheck {
  const isFair = ({ cached, uncached }: AskedBothWays): boolean =>
    cachedTokens(cached) > 0 && cachedTokens(uncached) === 0;
  const fair = asked.filter(isFair);
  return {
    questions: asked.length,
    identical: fair.filter(({ cached, uncached }) => isDeepStrictEqual(said(cached), said(uncached))).length,
    void: asked.length - fair.length,
    cachedTokens: asked.reduce((total, { cached }) => total + cachedTokens(cached), 0),
  };
}

/** All that the model wrote, and what became of it. */
export function said({ body, isAnswered }: Reply): unknown {
  const { answer, found, citations, reasoning_content: thought, finish_reason: end } = body;
  return {
    isAnswered,
    answer,
    found,
    citations,
    thought,
    end,
    raw: (body['ext'] as { raw?: unknown } | undefined)?.raw,
  };
}

function cachedTokens({ body }: Reply): number {
  return usageOf(body).cached;
}

export function usageOf(body: Reply['body']): { prompt: number; cached: number; completion: number } {
  const usage = body['usage'] as
    | {
        readonly prompt_tokens: number;
        readonly completion_tokens: number;
        readonly prompt_tokens_details: { readonly cached_tokens: number };
      }
    | undefined;
  if (usage === undefined) return { prompt: 0, cached: 0, completion: 0 };
  return {
    prompt: usage.prompt_tokens,
    cached: usage.prompt_tokens_details.cached_tokens,
    completion: usage.completion_tokens,
  };
}
