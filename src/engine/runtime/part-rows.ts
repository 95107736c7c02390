import { expandedRows, headsAtOnce } from '../model/layers/expanded.ts';
import type { ModelRunner, StepInput } from '../ports.ts';

/**
 * With fewer rows, to expand the latents of all keys costs more than it saves (between 150 and 200, by their operations),
 * so behind some 131,000 tokens scores may take more memory than otherwise: 512 MB at 256K.
 */
const leastPromptRows = 256;

interface PartLimits extends Pick<ModelRunner, 'bulkTokens' | 'promptStep'> {
  readonly heads: number;
  /** Most attention scores in memory at once. */
  readonly maxScores: number;
}

/** Most new rows of one part of a step, whose scores are in memory at once: of all heads or, expanded, of a few. */
export function partRows(
  { sequences, prefixRows, suffixRows, isPrompt = false }: StepInput,
  { bulkTokens, promptStep, heads, maxScores }: PartLimits,
): number {
  const perHead = maxScores / (prefixRows + suffixRows);
  const rows = Math.max(1, Math.floor(perHead / heads));
  const expanded = Math.floor(perHead / headsAtOnce);
  if (promptStep !== null) {
    return isPrompt ? Math.max(leastPromptRows, expanded - (expanded % promptStep)) : rows;
  }
  return bulkTokens !== null && sequences.length === 1 && expanded >= expandedRows ? Math.max(rows, expanded) : rows;
}
