import type { GenerateResult, ModelCard } from '../engine/index.ts';

/** OpenAI's usage object; `cached_tokens` is always there, 0 included. */
export function presentUsage(result: GenerateResult): Record<string, unknown> {
  return {
    prompt_tokens: result.promptTokens,
    completion_tokens: result.completionTokens,
    total_tokens: result.promptTokens + result.completionTokens,
    prompt_tokens_details: { cached_tokens: result.cachedTokens },
    completion_tokens_details: { reasoning_tokens: result.reasoningTokens },
  };
}

export function presentTiming(result: GenerateResult): Record<string, unknown> {
  return {
    queue_ms: Math.round(result.queueMs),
    load_ms: 0,
    prefill_ms: Math.round(result.prefillMs),
    decode_ms: Math.round(result.decodeMs),
  };
}

/** What quire adds to a standard object, under one key. */
export function presentExt(result: GenerateResult, card: ModelCard, attempts: number): Record<string, unknown> {
  return {
    attempts,
    resumed_from: null,
    wasted_tokens: 0,
    cache_miss: result.cacheMiss,
    ...(result.schemaError === null ? {} : { schema_error: result.schemaError }),
    ...(card.notice === null ? {} : { notice: card.notice }),
  };
}
