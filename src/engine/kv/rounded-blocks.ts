import { invariant } from '../../base/invariant.ts';
import { blockRows, type LatentLayers, type LatentRounding, type OwnBlocks, type RoundedLayer } from '../ports.ts';
import type { PageShape } from './page-shape.ts';

/** Views kept for the next run: the same members run again and again. */
const maxViews = 64;

/**
 * Own blocks in INT8 of the members of a slab, one behind the other, so that one run reads those of any of them without
 * copying.
 *
 * B1 Each block here is one of a member's first ones, and none is missing before it.
 * B2 The blocks are [0, total): one that goes leaves no hole, the last one takes its place.
 */
export class RoundedBlocks<Member extends object> {
  readonly #rounding: LatentRounding;
  readonly #width: number;
  readonly #layers: RoundedArrays[];
  /** Of each block. */
  readonly #owners: Member[] = [];
  /** Blocks of each member, in the order of its rows. */
  readonly #places = new Map<Member, number[]>();
  readonly #views = new Map<string, readonly RoundedLayer[]>();

  constructor({ layers, latentWidth }: PageShape, rounding: LatentRounding) {
    this.#rounding = rounding;
    this.#width = latentWidth;
    this.#layers = Array.from({ length: layers }, () => new RoundedArrays());
  }

  get total(): number {
    return this.#owners.length;
  }

  /** Rounds what of a member's first `blocks` blocks is not here yet. @param rows its own, `[rows, width]` a layer */
  async keep(member: Member, blocks: number, rows: LatentLayers): Promise<void> {
    const places = this.#places.get(member) ?? [];
    if (places.length >= blocks) return;
    const first = places.length * blockRows;
    const end = blocks * blockRows;
    const missing = rows.map((layer) => layer.subarray(first * this.#width, end * this.#width));
    const rounded = await this.#rounding.round(missing, end - first);
    const at = this.total;
    for (const [layer, arrays] of this.#layers.entries()) arrays.put(at, rounded[layer] as RoundedLayer);
    this.#places.set(member, places);
    for (let block = first / blockRows; block < blocks; block++) places.push(this.#owners.push(member) - 1);
    this.#views.clear();
  }

  /** What is here of these members, and as little else as lies between. Null: nothing is. */
  of(members: readonly Member[]): OwnBlocks | null {
    const places = members.map((member) => this.#places.get(member) ?? []);
    let [first, end] = [this.total, 0];
    for (const own of places) {
      for (const block of own) {
        first = Math.min(first, block);
        end = Math.max(end, block + 1);
      }
    }
    if (end === 0) return null;
    return { layers: this.#view(first, end), places: places.map((own) => own.map((block) => block - first)) };
  }

  remove(member: Member): void {
    const places = this.#places.get(member);
    if (places === undefined) return;
    this.#places.delete(member);
    // from behind, so that none of its own takes a place that is free
    for (const hole of places.toSorted((one, other) => other - one)) this.#close(hole);
    this.#views.clear();
  }

  /** B1 and B2. @param members all there are */
  checkIntegrity(members: readonly Member[]): void {
    const placed = new Set<number>();
    for (const [member, places] of this.#places) {
      invariant(members.includes(member), 'own blocks of nobody');
      for (const block of places) {
        invariant(this.#owners[block] === member && !placed.has(block), `block ${block} belongs to another member`);
        placed.add(block);
      }
    }
    invariant(placed.size === this.total, `${placed.size} places of ${this.total} blocks`);
  }

  #close(hole: number): void {
    const last = this.total - 1;
    const moved = this.#owners[last] as Member;
    this.#owners.pop();
    if (hole === last) return;
    for (const arrays of this.#layers) arrays.move(last, hole);
    this.#owners[hole] = moved;
    const places = this.#places.get(moved) ?? [];
    places[places.indexOf(last)] = hole;
  }

  #view(first: number, end: number): readonly RoundedLayer[] {
    const key = `${first} ${end}`;
    let view = this.#views.get(key);
    if (view === undefined) {
      if (this.#views.size >= maxViews) this.#views.clear();
      view = this.#layers.map((arrays) => arrays.view(first, end));
      this.#views.set(key, view);
    }
    return view;
  }
}

/** One layer's arrays, with room for more blocks than there are. */
class RoundedArrays {
  #capacity = 0;
  #arrays: RoundedLayer = {
    keys: new Int8Array(),
    keySteps: new Float32Array(),
    values: new Int8Array(),
    valueSteps: new Float32Array(),
  };

  /** Room doubles, so that n blocks are copied O(n) times in all; what is not written takes no memory. */
  put(block: number, added: RoundedLayer): void {
    const total = added.valueSteps.length;
    if (block + total > this.#capacity) this.#grow(block, Math.max(block + total, 2 * this.#capacity), added);
    const { keys, keySteps, values, valueSteps } = this.#arrays;
    keys.set(added.keys, block * (added.keys.length / total));
    keySteps.set(added.keySteps, block * blockRows);
    values.set(added.values, block * (added.values.length / total));
    valueSteps.set(added.valueSteps, block);
  }

  view(first: number, end: number): RoundedLayer {
    const { keys, keySteps, values, valueSteps } = this.#arrays;
    const [keySize, valueSize] = [keys.length / this.#capacity, values.length / this.#capacity];
    return {
      keys: keys.subarray(first * keySize, end * keySize),
      keySteps: keySteps.subarray(first * blockRows, end * blockRows),
      values: values.subarray(first * valueSize, end * valueSize),
      valueSteps: valueSteps.subarray(first, end),
    };
  }

  move(from: number, to: number): void {
    for (const array of Object.values(this.#arrays) as readonly (Int8Array | Float32Array)[]) {
      const size = array.length / this.#capacity;
      array.copyWithin(to * size, from * size, (from + 1) * size);
    }
  }

  /** @param like blocks of the size of all */
  #grow(used: number, capacity: number, like: RoundedLayer): void {
    const total = like.valueSteps.length;
    const old = this.#arrays;
    const grow = <Values extends Int8Array | Float32Array>(
      from: Values,
      model: Values,
      make: new (length: number) => Values,
    ): Values => {
      const size = model.length / total;
      const grown = new make(capacity * size);
      grown.set(from.subarray(0, used * size));
      return grown;
    };
    this.#arrays = {
      keys: grow(old.keys, like.keys, Int8Array),
      keySteps: grow(old.keySteps, like.keySteps, Float32Array),
      values: grow(old.values, like.values, Int8Array),
      valueSteps: grow(old.valueSteps, like.valueSteps, Float32Array),
    };
    this.#capacity = capacity;
  }
}
