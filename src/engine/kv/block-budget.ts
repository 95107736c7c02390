import { invariant } from '../../base/invariant.ts';
import { type PageShape, pageBytes } from './page-shape.ts';

/**
 * Ledger of the memory for latents, in blocks of 256 rows of all layers. It counts; the arrays belong to others.
 *
 * | kind     | who holds the memory                          | taken by       | given back by      |
 * |----------|-----------------------------------------------|----------------|--------------------|
 * | `free`   | nobody                                        |                |                    |
 * | `cached` | pages of the prefix cache                     | `insert`       | `evict`            |
 * | `held`   | sequences and assembled prefixes, by owner    | `take`         | `give`, `giveAll`  |
 *
 * B1 free + cached + held = total, none negative.
 * B2 held is the sum over owners; an owner that holds nothing is not kept.
 * B3 A `take` that fails changes nothing: the cache is asked to evict only when that will be enough.
 */
export class BlockBudget {
  readonly total: number;
  readonly blockBytes: number;
  readonly #owners = new Map<string, number>();
  #free: number;
  #cached = 0;
  #held = 0;
  #source: BlockSource | undefined;

  constructor(total: number, blockBytes: number) {
    invariant(isCount(total), `block total ${total} is not a whole number from 0`);
    invariant(isCount(blockBytes) && blockBytes > 0, `block bytes ${blockBytes} are not a whole number from 1`);
    this.total = total;
    this.blockBytes = blockBytes;
    this.#free = total;
  }

  /** As many whole blocks as `budgetBytes` has room for, possibly none. */
  static ofBytes(budgetBytes: number, shape: PageShape): BlockBudget {
    const blockBytes = pageBytes(shape);
    return new BlockBudget(Math.floor(budgetBytes / blockBytes), blockBytes);
  }

  get free(): number {
    return this.#free;
  }

  get cached(): number {
    return this.#cached;
  }

  get held(): number {
    return this.#held;
  }

  /** Free now, or free once the cache has evicted all it may: the most that `take` can give. */
  get available(): number {
    return this.#free + (this.#source?.evictable ?? 0);
  }

  heldBy(owner: string): number {
    return this.#owners.get(owner) ?? 0;
  }

  /** Names the cache that makes room when `take` is short. Once. */
  reclaimFrom(source: BlockSource): void {
    invariant(this.#source === undefined, 'a block budget has one cache to reclaim from');
    this.#source = source;
  }

  /** Free → held. False, with nothing changed, when there is no room even after evicting. */
  take(owner: string, blocks: number): boolean {
    invariant(isCount(blocks), `${owner} takes ${blocks} blocks, not a whole number from 0`);
    const short = blocks - this.#free;
    if (short > 0) {
      if (blocks > this.available) return false;
      const freed = this.#source?.evict(short) ?? 0;
      invariant(freed >= short && this.#free >= blocks, `the cache freed ${freed} blocks of ${short} it had promised`);
    }
    if (blocks === 0) return true;
    this.#free -= blocks;
    this.#held += blocks;
    this.#owners.set(owner, this.heldBy(owner) + blocks);
    return true;
  }

  /** Held → free. Throws `bug.invariant` when the owner holds fewer. */
  give(owner: string, blocks: number): void {
    const before = this.heldBy(owner);
    invariant(isCount(blocks) && blocks <= before, `${owner} gives back ${blocks} blocks, it holds ${before}`);
    if (blocks === before) this.#owners.delete(owner);
    else this.#owners.set(owner, before - blocks);
    this.#held -= blocks;
    this.#free += blocks;
  }

  /** Everything the owner holds → free; how many blocks that was. */
  giveAll(owner: string): number {
    const blocks = this.heldBy(owner);
    this.give(owner, blocks);
    return blocks;
  }

  /** Free → cached, one block. For the cache alone, which evicts by itself when this is false. */
  takeCached(): boolean {
    if (this.#free === 0) return false;
    this.#free--;
    this.#cached++;
    return true;
  }

  /** Cached → free, one block. For the cache alone. */
  giveCached(): void {
    invariant(this.#cached > 0, 'a cached block is given back, none is cached');
    this.#cached--;
    this.#free++;
  }

  /** B1 and B2. Throws `bug.invariant` with the figures. */
  checkIntegrity(): void {
    const figures = `free ${this.#free} + cached ${this.#cached} + held ${this.#held}, total ${this.total}`;
    invariant(this.#free + this.#cached + this.#held === this.total, `blocks do not add up: ${figures}`);
    invariant(Math.min(this.#free, this.#cached, this.#held) >= 0, `a block count is negative: ${figures}`);
    let owned = 0;
    for (const [owner, blocks] of this.#owners) {
      invariant(isCount(blocks) && blocks > 0, `${owner} is kept with ${blocks} blocks`);
      owned += blocks;
    }
    invariant(owned === this.#held, `owners hold ${owned} blocks, the ledger says ${this.#held}`);
  }
}

/** Who can turn cached blocks into free ones. */
export interface BlockSource {
  /** Blocks that `evict` can free now. */
  readonly evictable: number;
  /** Frees at least `blocks` when so many are evictable, else all that are; how many it freed. */
  evict(blocks: number): number;
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
