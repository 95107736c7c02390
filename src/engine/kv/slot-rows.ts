import { invariant } from '../../base/invariant.ts';
import { blockRows, type LatentLayers } from '../ports.ts';
import type { PageShape } from './page-shape.ts';

/** Address space is taken for so many slots at first, and for four times as many whenever that is too little. */
const firstReserve = 16;
/** Views kept for the next run: the same neighbours run again and again. */
const maxViews = 64;

export interface SlotShape extends PageShape {
  /** Of each member. */
  readonly rows: number;
}

/** New rows of one sequence among those of all sequences of a run. */
export interface RunRows {
  /** [layers, total, padded, width] */
  readonly latents: Float32Array;
  /** Of the sequence. */
  readonly index: number;
  /** Sequences. */
  readonly total: number;
  /** Rows of each. */
  readonly padded: number;
}

/**
 * The memory of a slab: one `[capacity, rows, width]` float32 array a layer. It grows in place, so that a newcomer costs
 * no copy of the others, and of memory only what is written.
 *
 * R1 A slot is zero beyond the rows written since it was opened. A run reads those too, masked; but NaN times zero is
 *    NaN, so nothing that an earlier member has left may stay.
 */
export class SlotRows {
  readonly #shape: SlotShape;
  readonly #slotFloats: number;
  #reserved = 0;
  readonly #buffers: ArrayBuffer[];
  #layers: readonly Float32Array[] = [];
  /** Of each slot: rows before which something may have been written. */
  #written: number[] = [];
  readonly #views = new Map<string, LatentLayers>();

  constructor(shape: SlotShape) {
    this.#shape = shape;
    this.#slotFloats = shape.rows * shape.latentWidth;
    this.#buffers = Array.from({ length: shape.layers }, () => new ArrayBuffer(0));
  }

  get capacity(): number {
    return this.#written.length;
  }

  /** Slots that stay keep their rows. */
  resize(capacity: number): void {
    const bytes = capacity * this.#slotFloats * Float32Array.BYTES_PER_ELEMENT;
    if (capacity > this.#reserved) this.#reserve(capacity);
    for (const buffer of this.#buffers) buffer.resize(bytes);
    this.#layers = this.#buffers.map((buffer) => new Float32Array(buffer, 0, capacity * this.#slotFloats));
    this.#written = Array.from({ length: capacity }, (_, slot) => this.#written[slot] ?? 0);
    this.#views.clear();
  }

  /** For a new member: all zero. */
  open(slot: number): void {
    this.#truncate(slot, 0);
  }

  /** Rows of `count` neighbours from slot `first` on, a layer, not copied; the same arrays until the next `resize`. */
  view(first: number, count: number): LatentLayers {
    const key = `${first} ${count}`;
    const known = this.#views.get(key);
    if (known !== undefined) return known;
    if (this.#views.size >= maxViews) this.#views.clear();
    const view = this.#layers.map((layer) =>
      layer.subarray(first * this.#slotFloats, (first + count) * this.#slotFloats),
    );
    this.#views.set(key, view);
    return view;
  }

  /** Stores the first `tokens` new rows of a sequence from `row` on. */
  store(slot: number, row: number, tokens: number, { latents, index, total, padded }: RunRows): void {
    const { rows, latentWidth } = this.#shape;
    const fits = row + tokens <= rows;
    // a message costs more than its check, and this one is made for every token
    if (!fits) invariant(false, `own rows to ${row + tokens} of ${rows}`);
    const target = slot * this.#slotFloats + row * latentWidth;
    for (let number = 0; number < this.#layers.length; number++) {
      const from = (number * total + index) * padded * latentWidth;
      this.#layers[number]?.set(latents.subarray(from, from + tokens * latentWidth), target);
    }
    this.#written[slot] = Math.max(this.#writtenOf(slot), row + tokens);
  }

  /** A copy of 256 rows from `row` on, as a page `[layers, 256, width]`. */
  copyPage(slot: number, row: number): Float32Array {
    const { layers, latentWidth } = this.#shape;
    const floats = blockRows * latentWidth;
    const page = new Float32Array(layers * floats);
    const at = slot * this.#slotFloats + row * latentWidth;
    for (const [number, layer] of this.#layers.entries()) page.set(layer.subarray(at, at + floats), number * floats);
    return page;
  }

  /** Slot `to` becomes as slot `from` of `source`, whose rows are not longer. */
  copy(source: SlotRows, from: number, to: number): void {
    const rows = source.#writtenOf(from);
    const start = from * source.#slotFloats;
    for (const [number, layer] of this.#layers.entries()) {
      const written = source.#layers[number]?.subarray(start, start + rows * this.#shape.latentWidth);
      if (written !== undefined) layer.set(written, to * this.#slotFloats);
    }
    this.#truncate(to, rows);
    this.#written[to] = rows;
  }

  swap(one: number, other: number): void {
    const rows = Math.max(this.#writtenOf(one), this.#writtenOf(other));
    const floats = rows * this.#shape.latentWidth;
    const [low, high] = [one * this.#slotFloats, other * this.#slotFloats];
    for (const layer of this.#layers) {
      const kept = layer.slice(low, low + floats);
      layer.copyWithin(low, high, high + floats);
      layer.set(kept, high);
    }
    [this.#written[one], this.#written[other]] = [this.#writtenOf(other), this.#writtenOf(one)];
  }

  #writtenOf(slot: number): number {
    return this.#written[slot] ?? 0;
  }

  /** Zero from row `rows` on. */
  #truncate(slot: number, rows: number): void {
    const [start, { latentWidth }] = [slot * this.#slotFloats, this.#shape];
    const end = start + this.#writtenOf(slot) * latentWidth;
    const from = start + rows * latentWidth;
    if (from < end) for (const layer of this.#layers) layer.fill(0, from, end);
    this.#written[slot] = Math.min(rows, this.#writtenOf(slot));
  }

  /** One layer at a time, so that old and new are never there twice as a whole: the books know one of them only. */
  #reserve(capacity: number): void {
    while (this.#reserved < capacity) this.#reserved = Math.max(firstReserve, this.#reserved * 4);
    const maxByteLength = this.#reserved * this.#slotFloats * Float32Array.BYTES_PER_ELEMENT;
    for (const [number, buffer] of this.#buffers.entries()) {
      const roomy = new ArrayBuffer(buffer.byteLength, { maxByteLength });
      new Float32Array(roomy).set(new Float32Array(buffer));
      this.#buffers[number] = roomy;
    }
  }
}
