import type { BatchUsage, LineResult } from './records.schema.ts';
import { isPlainObject } from './request-fields.ts';

export const noUsage: BatchUsage = {
  input_tokens: 0,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: 0,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 0,
};

/** Usage of a finished line under the batch's names; null when its body has none. */
export function usageOf({ output }: LineResult): BatchUsage | null {
  const usage = output.response?.body['usage'];
  if (!isPlainObject(usage)) return null;
  const inputTokens = count(usage['prompt_tokens']);
  const outputTokens = count(usage['completion_tokens']);
  return {
    input_tokens: inputTokens,
    input_tokens_details: { cached_tokens: countIn(usage['prompt_tokens_details'], 'cached_tokens') },
    output_tokens: outputTokens,
    output_tokens_details: { reasoning_tokens: countIn(usage['completion_tokens_details'], 'reasoning_tokens') },
    total_tokens: inputTokens + outputTokens,
  };
}

export function addUsage(a: BatchUsage, b: BatchUsage | null): BatchUsage {
  if (b === null) return a;
  return {
    input_tokens: a.input_tokens + b.input_tokens,
    input_tokens_details: {
      cached_tokens: a.input_tokens_details.cached_tokens + b.input_tokens_details.cached_tokens,
    },
    output_tokens: a.output_tokens + b.output_tokens,
    output_tokens_details: {
      reasoning_tokens: a.output_tokens_details.reasoning_tokens + b.output_tokens_details.reasoning_tokens,
    },
    total_tokens: a.total_tokens + b.total_tokens,
  };
}

const count = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0);
const countIn = (value: unknown, field: string): number => (isPlainObject(value) ? count(value[field]) : 0);
