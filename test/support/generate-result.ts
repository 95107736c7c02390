import type { GenerateResult } from '../../src/engine/index.ts';

/** What the engine answers when nothing special happens. */
export function generateResult(more: Partial<GenerateResult> = {}): GenerateResult {
  return {
    reasoning: 'Look: page 2',
    content: '',
    toolCalls: [],
    finishReason: 'stop',
    logprobs: null,
    schemaError: null,
    promptTokens: 900,
    cachedTokens: 768,
    completionTokens: 40,
    reasoningTokens: 10,
    resumedTokens: 0,
    resumed: null,
    prefillMs: 12.4,
    decodeMs: 30.6,
    queueMs: 1,
    cacheMiss: null,
    ...more,
  };
}
