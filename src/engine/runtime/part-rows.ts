import { expandedRows, headsAtOnce } from '../model/layers/expanded.ts';
import type { ModelRunner, StepInput } from '../ports.ts';
import { longestOf } from './run-in-parts.ts';

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
  if (bulkTokens === null || sequences.length !== 1) return rows;
  return equalParts(longestOf(sequences), expanded) ?? rows;
}

/**
 * Rows of the fewest equal parts of a long run, all of which keys and values of each head are computed for; null: they
 * are not for one of them, and then scores of all heads are in memory.
 */
function equalParts(tokens: number, most: number): number | null {
  if (most < expandedRows) return null;
  const parts = Math.ceil(tokens / most);
  const rows = Math.ceil(tokens / parts);
  const last = tokens - (parts - 1) * rows;
  return last >= expandedRows ? rows : null;
}
