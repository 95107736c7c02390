import type { GenerateResult, ModelCard } from '../engine/index.ts';
import { type Effort, type Generations, joinEfforts } from './generation.ts';

/**
 * OpenAI's usage object; `cached_tokens` is always there, 0 included. Answers to one prompt share it, so its tokens
 * count once; what a repair read and wrote comes on top.
 */
export function presentUsage(generations: Generations): Record<string, unknown> {
  const [{ result: first }] = generations;
  const repairs = generations.flatMap(({ repair }) => (repair === null ? [] : [repair.result]));
  const written = [...generations.map(({ result }) => result), ...repairs];
  const promptTokens = first.promptTokens + sum(repairs, 'promptTokens');
  const completionTokens = sum(written, 'completionTokens');
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: first.cachedTokens + sum(repairs, 'cachedTokens') },
    completion_tokens_details: { reasoning_tokens: sum(written, 'reasoningTokens') },
  };
}

/** Answers ran side by side, so the longest of each counts; a repair came after its answer. */
export function presentTiming(generations: Generations): Record<string, unknown> {
  const longest = (field: 'queueMs' | 'prefillMs' | 'decodeMs'): number =>
    Math.round(
      Math.max(
        ...generations.map(({ result, repair }) => result[field] + (repair === null ? 0 : repair.result[field])),
      ),
    );
  return {
    queue_ms: longest('queueMs'),
    load_ms: 0,
    prefill_ms: longest('prefillMs'),
    decode_ms: longest('decodeMs'),
  };
}

/** What quire adds to a standard object, under one key. */
export function presentExt(generations: Generations, card: ModelCard): Record<string, unknown> {
  const [{ result: first }] = generations;
  const schemaError = describeSchemaErrors(generations);
  return {
    ...presentEffort(joinEfforts(generations.map(({ effort }) => effort))),
    cache_miss: first.cacheMiss,
    ...(schemaError === null ? {} : { schema_error: schemaError }),
    ...(generations.some(({ repair }) => repair?.isMended === true) ? { repaired: true } : {}),
    ...presentNotice(card),
  };
}

export function presentEffort({ attempts, resumedFrom, resumed, wastedTokens }: Effort): Record<string, unknown> {
  return { attempts, resumed_from: resumedFrom, resumed, wasted_tokens: wastedTokens };
}

export function presentNotice({ notice }: ModelCard): Record<string, unknown> {
  return notice === null ? {} : { notice };
}

function describeSchemaErrors(generations: Generations): string | null {
  const errors = generations.flatMap(({ result: { schemaError } }, index) => {
    if (schemaError === null) return [];
    return [generations.length === 1 ? schemaError : `choices[${index}]: ${schemaError}`];
  });
  return errors.length === 0 ? null : errors.join('; ');
}

function sum(
  results: readonly GenerateResult[],
  field: 'promptTokens' | 'cachedTokens' | 'completionTokens' | 'reasoningTokens',
): number {
  return results.reduce((total, result) => total + result[field], 0);
}
