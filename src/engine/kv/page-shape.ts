import { blockRows, type LatentRounding } from '../ports.ts';

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

/** Of an engine that may read whole blocks in INT8 too. */
export interface RoundedShape extends PageShape {
  /** Null: it does not. */
  readonly rounding: LatentRounding | null;
}

/** Blocks of the ledger for so many that are kept in INT8 too. */
export function blocksInInt8(shape: RoundedShape, blocks: number): number {
  const { rounding } = shape;
  return rounding === null ? 0 : Math.ceil((blocks * rounding.blockBytes) / pageBytes(shape));
}
