import type { LatentBuffer } from './kv/latent-buffer.ts';
import { roundRows } from './kv/latent-buffer.ts';
import { blockRows, type ModelRunner, type StepInput, type StepOutput, type StepSequence } from './ports.ts';

/**
 * Computes rows [start, start + tokenIds.length) of a sequence that has all its rows in one buffer, and stores them
 * there. Its whole blocks are read as the prefix, the block in the making in place: nothing is copied.
 */
export async function extendRows(
  runner: ModelRunner,
  buffer: LatentBuffer,
  tokenIds: ArrayLike<number>,
  start: number,
  { wanted, head, isPrompt = false }: Pick<StepSequence, 'wanted'> & Pick<StepInput, 'head' | 'isPrompt'>,
): Promise<StepOutput> {
  const prefixRows = Math.floor(start / blockRows) * blockRows;
  const ownRows = roundRows(start + tokenIds.length - prefixRows, runner.rowStep);
  buffer.reserve(prefixRows + ownRows);
  const output = await runner.run({
    sequences: [{ tokenIds, start, wanted }],
    prefix: buffer.view(prefixRows),
    prefixRows,
    suffix: buffer.view(ownRows, prefixRows, runner.rowStep),
    suffixRows: ownRows,
    isPrompt,
    head,
  });
  buffer.store(start, tokenIds.length, output.latents);
  return output;
}
