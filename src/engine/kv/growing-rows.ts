import { blockRows, type LatentLayers } from '../ports.ts';
import { type PageShape, pageFloats } from './page-shape.ts';

/** Address space is taken for so many blocks at first, and for four times as many whenever that is too little. */
const firstReserve = 64;
/** Memory of so many blocks beyond those there are stays, for the next ones. */
const mostSpare = 16;

/**
 * Blocks of 256 rows, one `[blocks · 256, width]` float32 array a layer that grows and shrinks in place, so that a new
 * block costs no copy of the others. A new block is zero.
 */
export class GrowingRows {
  readonly #shape: PageShape;
  /** Of one block and layer. */
  readonly #floats: number;
  readonly #buffers: ArrayBuffer[];
  #reserved = 0;
  #capacity = 0;
  #total = 0;
  #layers: readonly Float32Array[] = [];

  constructor(shape: PageShape) {
    this.#shape = shape;
    this.#floats = blockRows * shape.latentWidth;
    this.#buffers = Array.from({ length: shape.layers }, () => new ArrayBuffer(0));
    this.#view();
  }

  /** The same arrays until the next `resize`. */
  get layers(): LatentLayers {
    return this.#layers;
  }

  resize(total: number): void {
    if (total === this.#total) return;
    const [before, used] = [this.#total, this.#capacity];
    const spare = used - total;
    if (spare < 0 || spare > mostSpare) this.#setCapacity(total);
    this.#total = total;
    this.#view();
    // what was there when the room was used before; memory beyond it is new, and takes none until it is written
    for (const layer of this.#layers) layer.fill(0, before * this.#floats, used * this.#floats);
  }

  /** @param row of all blocks */
  write(layer: number, row: number, values: Float32Array): void {
    this.#layers[layer]?.set(values, row * this.#shape.latentWidth);
  }

  /** [256, width] a layer, not copied. */
  block(block: number): LatentLayers {
    return this.#layers.map((layer) => layer.subarray(block * this.#floats, (block + 1) * this.#floats));
  }

  /** A copy, as a page `[layers, 256, width]`. */
  copyBlock(block: number): Float32Array {
    const page = new Float32Array(pageFloats(this.#shape));
    for (const [layer, values] of this.block(block).entries()) page.set(values, layer * this.#floats);
    return page;
  }

  move(from: number, to: number): void {
    for (const layer of this.#layers) {
      layer.copyWithin(to * this.#floats, from * this.#floats, (from + 1) * this.#floats);
    }
  }

  #view(): void {
    this.#layers = this.#buffers.map((buffer) => new Float32Array(buffer, 0, this.#total * this.#floats));
  }

  #setCapacity(capacity: number): void {
    if (capacity > this.#reserved) this.#reserve(capacity);
    const bytes = capacity * this.#floats * Float32Array.BYTES_PER_ELEMENT;
    for (const buffer of this.#buffers) buffer.resize(bytes);
    this.#capacity = capacity;
  }

  /** One layer at a time, so that old and new are never there twice as a whole: the books know one of them only. */
  #reserve(capacity: number): void {
    while (this.#reserved < capacity) this.#reserved = Math.max(firstReserve, this.#reserved * 4);
    const maxByteLength = this.#reserved * this.#floats * Float32Array.BYTES_PER_ELEMENT;
    for (const [number, buffer] of this.#buffers.entries()) {
      const roomy = new ArrayBuffer(buffer.byteLength, { maxByteLength });
      new Float32Array(roomy).set(new Float32Array(buffer));
      this.#buffers[number] = roomy;
    }
  }
}
