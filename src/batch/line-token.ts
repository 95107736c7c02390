import { sha256Hex } from '../base/hash.ts';

/** What the ids of a line's results are made of: the same whenever and wherever it runs. */
export function lineTokenOf(batchId: string, index: number): string {
  return sha256Hex(`${batchId}/${index}`).slice(0, 24);
}
