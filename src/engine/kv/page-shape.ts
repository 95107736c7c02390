import { blockRows } from '../ports.ts';

/** What decides the size of a page; equal for all pages of one engine. */
export interface PageShape {
  readonly layers: number;
  readonly latentWidth: number;
}

/** Values of a page `[layers, 256, latentWidth]`. */
export function pageFloats(shape: PageShape): number {
  return shape.layers * blockRows * shape.latentWidth;
}

/** Bytes of a page in memory, and so of one block of the ledger. */
export function pageBytes(shape: PageShape): number {
  return pageFloats(shape) * Float32Array.BYTES_PER_ELEMENT;
}
