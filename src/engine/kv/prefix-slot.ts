import { blockRows } from '../ports.ts';
import { LatentBuffer } from './latent-buffer.ts';

/**
 * The latents of the last document prefix, kept for the next question about it: one slot, whole blocks only.
 * A later request keeps the blocks whose tokens equal its own and recomputes the rest.
 */
export class PrefixSlot {
  readonly latents: LatentBuffer;
  readonly #tokenIds: number[] = [];

  constructor(layerTotal: number, width: number) {
    this.latents = new LatentBuffer(layerTotal, width);
  }

  /** Rows that can be reused for a prompt: whole blocks of equal tokens, at most `limit`. */
  matchRows(promptIds: readonly number[], limit: number): number {
    const end = Math.min(limit, this.#tokenIds.length);
    let row = 0;
    while (row < end && this.#tokenIds[row] === promptIds[row]) row++;
    return Math.floor(row / blockRows) * blockRows;
  }

  /** Forgets everything behind `rows`. */
  truncate(rows: number): void {
    this.#tokenIds.length = Math.min(rows, this.#tokenIds.length);
  }

  /** Appends computed rows; `latents` is [layers, tokens, width]. */
  append(tokenIds: readonly number[], latents: Float32Array): void {
    this.latents.store(this.#tokenIds.length, tokenIds.length, latents);
    for (const id of tokenIds) this.#tokenIds.push(id);
  }

  get rows(): number {
    return this.#tokenIds.length;
  }
}
