import type { GenerateResult, ModelCard } from '../engine/index.ts';
import { type Effort, type Generation, type Generations, joinEfforts } from './generation.ts';

/**
 * OpenAI's usage object; `cached_tokens` is always there, 0 included. Answers to one prompt share it, so its tokens
 * count once; what a repair read and wrote comes on top, and of later turns what they had not read before: the results
 * of tools.
 */
export function presentUsage(generations: Generations): Record<string, unknown> {
  const [generation] = generations;
  const first = firstTurn(generation);
  const repairs = generations.flatMap(({ repair }) => (repair === null ? [] : [repair.result]));
  const written = [...generations.flatMap(({ earlier, result }) => [...earlier, result]), ...repairs];
  const later = generations.reduce((total, one) => total + laterPromptTokens(one), 0);
  const promptTokens = first.promptTokens + later + sum(repairs, 'promptTokens');
  const completionTokens = sum(written, 'completionTokens');
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: first.cachedTokens + sum(repairs, 'cachedTokens') },
    completion_tokens_details: { reasoning_tokens: sum(written, 'reasoningTokens') },
  };
}

/** Answers ran side by side, so the longest of each counts; turns and repairs came one after the other. */
export function presentTiming(generations: Generations): Record<string, unknown> {
  const longest = (field: 'queueMs' | 'prefillMs' | 'decodeMs'): number =>
    Math.round(
      Math.max(
        ...generations.map(({ earlier, result, repair }) =>
          [...earlier, result, ...(repair === null ? [] : [repair.result])].reduce(
            (total, one) => total + one[field],
            0,
          ),
        ),
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
  const [generation] = generations;
  const schemaError = describeSchemaErrors(generations);
  return {
    ...presentEffort(joinEfforts(generations.map(({ effort }) => effort))),
    cache_miss: firstTurn(generation).cacheMiss,
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

const firstTurn = ({ earlier, result }: Generation): GenerateResult => earlier[0] ?? result;

/** Of turns behind the first, without what the model itself had written. */
function laterPromptTokens({ earlier, result }: Generation): number {
  return [...earlier.slice(1), result].reduce((total, turn, index) => {
    const before = earlier[index];
    return before === undefined
      ? total
      : total + Math.max(0, turn.promptTokens - before.promptTokens - before.completionTokens);
  }, 0);
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
