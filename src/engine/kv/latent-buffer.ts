import { blockRows, type LatentLayers } from '../ports.ts';

/** Rows rounded up to whole blocks; at least one block, as the graph wants. */
export function wholeBlocks(rows: number): number {
  return Math.max(blockRows, Math.ceil(rows / blockRows) * blockRows);
}

/**
 * Growing latent rows of one sequence part: one `[capacity, width]` float32 array a layer, capacity in whole blocks.
 * Rows never written are zero, so that masked positions stay finite.
 */
export class LatentBuffer {
  readonly #layerTotal: number;
  readonly #width: number;
  #capacityRows = 0;
  #layers: Float32Array[] = [];

  constructor(layerTotal: number, width: number) {
    this.#layerTotal = layerTotal;
    this.#width = width;
    this.reserve(1);
  }

  /** Room for `rows` rows; doubles, so that n appends copy O(n) rows in all. */
  reserve(rows: number): void {
    const wanted = wholeBlocks(rows);
    if (wanted <= this.#capacityRows) return;
    const capacity = Math.max(wanted, this.#capacityRows * 2);
    this.#layers = Array.from({ length: this.#layerTotal }, (_, layer) => {
      const grown = new Float32Array(capacity * this.#width);
      const old = this.#layers[layer];
      if (old !== undefined) grown.set(old);
      return grown;
    });
    this.#capacityRows = capacity;
  }

  /** Views of the first `rows` rows in whole blocks, without copying. */
  view(rows: number): LatentLayers {
    const length = wholeBlocks(rows) * this.#width;
    return this.#layers.map((layer) => layer.subarray(0, length));
  }

  /** Stores `latents` [layers, tokens, width] as rows [start, start + tokens). */
  store(start: number, tokens: number, latents: Float32Array): void {
    this.reserve(start + tokens);
    const rowFloats = tokens * this.#width;
    for (let layer = 0; layer < this.#layerTotal; layer++) {
      const rows = latents.subarray(layer * rowFloats, (layer + 1) * rowFloats);
      this.#layers[layer]?.set(rows, start * this.#width);
    }
  }
}
