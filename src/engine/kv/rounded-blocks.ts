import { blockRows, type LatentLayers, type LatentRounding, type OwnBlocks, type RoundedLayer } from '../ports.ts';
import { BlockPlaces } from './block-places.ts';
import type { PageShape } from './page-shape.ts';

/** Views kept for the next run: the same members run again and again. */
const maxViews = 64;

/**
 * Own blocks in INT8, one behind the other, so that one run reads those of any members without copying. Each is one of a
 * member's first ones, and none is missing before it.
 */
export class RoundedBlocks<Member extends object> {
  readonly #rounding: LatentRounding;
  readonly #layers: RoundedArrays[];
  readonly #places = new BlockPlaces<Member>();
  readonly #views = new Map<string, readonly RoundedLayer[]>();

  constructor({ layers }: PageShape, rounding: LatentRounding) {
    this.#rounding = rounding;
    this.#layers = Array.from({ length: layers }, () => new RoundedArrays());
  }

  get total(): number {
    return this.#places.total;
  }

  /**
   * Rounds what of a member's first `blocks` blocks is not here yet.
   * @param block its own block at a place, `[256, width]` a layer
   */
  async keep(member: Member, blocks: number, block: (place: number) => LatentLayers): Promise<void> {
    for (let place = this.#places.of(member).length; place < blocks; place++) {
      const rounded = await this.#rounding.round(block(place), blockRows);
      const at = this.#places.add(member);
      for (const [layer, arrays] of this.#layers.entries()) arrays.put(at, rounded[layer] as RoundedLayer);
      this.#views.clear();
    }
  }

  /** What is here of these members, and as little else as lies between. Null: nothing is. */
  of(members: readonly Member[]): OwnBlocks | null {
    const places = members.map((member) => this.#places.of(member));
    let [first, end] = [this.#places.total, 0];
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
    if (this.#places.of(member).length === 0) return;
    this.#places.remove(member, (from, to) => {
      for (const arrays of this.#layers) arrays.move(from, to);
    });
    for (const arrays of this.#layers) arrays.trim(this.total);
    this.#views.clear();
  }

  /** @param members all there are */
  checkIntegrity(members: ReadonlySet<Member>): void {
    this.#places.checkIntegrity(members);
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
  put(at: number, block: RoundedLayer): void {
    if (at >= this.#capacity) this.#resize(at, 2 * at + 1, block);
    const { keys, keySteps, values, valueSteps } = this.#arrays;
    keys.set(block.keys, at * block.keys.length);
    keySteps.set(block.keySteps, at * blockRows);
    values.set(block.values, at * block.values.length);
    valueSteps.set(block.valueSteps, at);
  }

  /** Gives room back when most of it is free. */
  trim(used: number): void {
    if (4 * used < this.#capacity) this.#resize(used, 2 * used, this.view(0, 1));
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

  /** @param like a block of the size of all */
  #resize(used: number, capacity: number, like: RoundedLayer): void {
    const old = this.#arrays;
    const resized = <Values extends Int8Array | Float32Array>(
      from: Values,
      model: Values,
      make: new (length: number) => Values,
    ): Values => {
      const room = new make(capacity * model.length);
      room.set(from.subarray(0, used * model.length));
      return room;
    };
    this.#arrays = {
      keys: resized(old.keys, like.keys, Int8Array),
      keySteps: resized(old.keySteps, like.keySteps, Float32Array),
      values: resized(old.values, like.values, Int8Array),
      valueSteps: resized(old.valueSteps, like.valueSteps, Float32Array),
    };
    this.#capacity = capacity;
  }
}
