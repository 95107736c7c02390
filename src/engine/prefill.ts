import type { LatentBuffer } from './kv/latent-buffer.ts';
import type { PrefixSlot } from './kv/prefix-slot.ts';
import { blockRows, type ModelRunner } from './ports.ts';

/** Called between runs: reports rows done and throws when the request was cancelled. */
export type BetweenSteps = (rowsDone: number) => Promise<void>;

/**
 * Fills the slot with the prompt's rows [0, splitRows), a block a run, after keeping what already matches.
 * @returns how many rows were there before.
 */
export async function prefillPrefix(
  runner: ModelRunner,
  slot: PrefixSlot,
  scratch: LatentBuffer,
  promptIds: readonly number[],
  splitRows: number,
  between: BetweenSteps,
): Promise<number> {
  const cachedRows = slot.matchRows(promptIds, splitRows);
  slot.truncate(cachedRows);
  for (let start = cachedRows; start < splitRows; start += blockRows) {
    await between(start);
    const tokenIds = promptIds.slice(start, start + blockRows);
    const output = await runner.run({
      tokenIds,
      start,
      prefix: slot.latents.view(start),
      prefixRows: start,
      suffix: scratch.view(blockRows),
      logits: 'none',
    });
    slot.append(tokenIds, output.latents);
  }
  return cachedRows;
}

/**
 * Runs `tokenIds` as rows [start, start + n) of the request's own part, in runs of at most a block.
 * @returns logits of the last row, `[vocabularySize]`.
 */
export async function extendSuffix(
  runner: ModelRunner,
  slot: PrefixSlot,
  suffix: LatentBuffer,
  splitRows: number,
  start: number,
  tokenIds: readonly number[],
  between: BetweenSteps,
): Promise<Float32Array> {
  let logits = new Float32Array(0);
  for (let done = 0; done < tokenIds.length; done += blockRows) {
    await between(start + done);
    const chunk = tokenIds.slice(done, done + blockRows);
    const first = start + done;
    const isLast = done + chunk.length === tokenIds.length;
    suffix.reserve(first + chunk.length - splitRows);
    const output = await runner.run({
      tokenIds: chunk,
      start: first,
      prefix: slot.latents.view(splitRows),
      prefixRows: splitRows,
      suffix: suffix.view(first + chunk.length - splitRows),
      logits: isLast ? 'last' : 'none',
    });
    suffix.store(first - splitRows, chunk.length, output.latents);
    logits = output.logits as Float32Array<ArrayBuffer>;
  }
  return logits;
}
