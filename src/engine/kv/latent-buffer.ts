import { invariant } from '../../base/invariant.ts';
import { blockRows, type LatentLayers } from '../ports.ts';

/** Rows rounded up to whole steps; at least one step, as the graph wants. */
export function roundRows(rows: number, step: number = blockRows): number {
  return Math.max(step, Math.ceil(rows / step) * step);
}

/**
 * Latent rows of one sequence, or of the part of it that others share, one behind the other: one `[capacity, width]`
 * float32 array a layer, capacity in whole blocks. Rows never written are zero, so that masked positions stay finite.
 */
export class LatentBuffer {
  readonly #layerTotal: number;
  readonly #width: number;
  #capacityRows = 0;
  #layers: Float32Array[] = [];
  /** What was read last: decode runs read the same rows again and again. */
  #lastView: { readonly start: number; readonly end: number; readonly layers: LatentLayers } | null = null;

  /**
   * @param used another one's memory, taken over where it fits: to touch new memory costs three times what it costs to
   *   write it. What the other one wrote stays until `clearFrom`.
   */
  constructor(layerTotal: number, width: number, rows = 1, used: LatentBuffer | null = null) {
    this.#layerTotal = layerTotal;
    this.#width = width;
    if (used !== null) this.#takeOver(used, roundRows(rows));
    this.reserve(rows);
  }

  #takeOver(used: LatentBuffer, rows: number): void {
    // a quarter more than is wanted is the most that nobody counts
    if (rows <= used.#capacityRows && used.#capacityRows <= rows * 1.25) {
      this.#layers = used.#layers;
      this.#capacityRows = used.#capacityRows;
    }
    used.release();
  }

  /** Room for `rows` rows; doubles, so that n appends copy O(n) rows in all. */
  reserve(rows: number): void {
    const wanted = roundRows(rows);
    if (wanted <= this.#capacityRows) return;
    const capacity = Math.max(wanted, this.#capacityRows * 2);
    this.#layers = Array.from({ length: this.#layerTotal }, (_, layer) => {
      const grown = new Float32Array(capacity * this.#width);
      const old = this.#layers[layer];
      if (old !== undefined) grown.set(old);
      return grown;
    });
    this.#capacityRows = capacity;
    this.#lastView = null;
  }

  /** Gives its memory back; nothing can be read any more. */
  release(): void {
    this.#layers = [];
    this.#capacityRows = 0;
    this.#lastView = null;
  }

  /** Zero from row `rows` on. */
  clearFrom(rows: number): void {
    for (const layer of this.#layers) layer.fill(0, rows * this.#width);
  }

  /** Views of rows [start, start + rows) without copying, `rows` rounded up to `step`; the same arrays when asked again. */
  view(rows: number, start = 0, step: number = blockRows): LatentLayers {
    const end = start + roundRows(rows, step);
    invariant(end <= this.#capacityRows, `rows to ${end} of a buffer of ${this.#capacityRows}`);
    const last = this.#lastView;
    if (last !== null && last.start === start && last.end === end) return last.layers;
    const layers = this.#layers.map((layer) => layer.subarray(start * this.#width, end * this.#width));
    this.#lastView = { start, end, layers };
    return layers;
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

  /** A copy of the block that begins at row `start`, as a page: [layers, 256, width]. */
  copyBlock(start: number): Float32Array {
    const page = new Float32Array(this.#layerTotal * blockRows * this.#width);
    this.#layers.forEach((layer, index) => {
      const rows = layer.subarray(start * this.#width, (start + blockRows) * this.#width);
      page.set(rows, index * blockRows * this.#width);
    });
    return page;
  }
}
