import { invariant } from '../../base/invariant.ts';
import { blockRows, type RoundedLayer } from '../ports.ts';
import type { BlockBudget } from './block-budget.ts';
import { LatentBuffer } from './latent-buffer.ts';
import { blocksInInt8, type RoundedShape } from './page-shape.ts';
import type { PageSource } from './page-source.ts';

const owner = 'prefix windows';

/** Of the ledger, for a window of so many blocks: a complete one is kept in INT8 too. */
function windowBlocks(shape: RoundedShape, blocks: number): number {
  return blocks + blocksInInt8(shape, blocks);
}

/**
 * The rows of a shared prefix, one behind the other as the graph reads them: assembled from pages, the missing ones
 * computed. Every sequence with the same prefix reads the same window.
 */
export class PrefixWindow {
  /** Name of its last page, which names all of it; '' for the empty prefix. */
  readonly key: string;
  readonly names: readonly string[];
  /** Tokens of all its rows. */
  readonly tokenIds: Int32Array;
  readonly buffer: LatentBuffer;
  /** Rows that came from pages rather than from computing, in this window's first filling. */
  cachedRows = 0;
  /** Rows [0, readyRows) can be read. */
  readyRows = 0;
  /** Pages are being read from a tier below memory. */
  isLoading = false;
  /** Dropped: pages that still arrive are not taken any more. */
  isDropped = false;
  users = 0;
  readonly #shape: RoundedShape;
  #rounded: readonly RoundedLayer[] | null = null;

  /** @param used memory of a window that is gone */
  constructor(names: readonly string[], tokenIds: Int32Array, shape: RoundedShape, used: LatentBuffer | null) {
    this.#shape = shape;
    this.key = names.at(-1) ?? '';
    this.names = names;
    this.tokenIds = tokenIds;
    this.buffer = new LatentBuffer(shape.layers, shape.latentWidth, Math.max(tokenIds.length, 1), used);
  }

  get rows(): number {
    return this.tokenIds.length;
  }

  get isReady(): boolean {
    return this.readyRows === this.rows;
  }

  /** Of the ledger. */
  get blocks(): number {
    return windowBlocks(this.#shape, this.names.length);
  }

  /** All its rows in INT8, made when they are first asked for; null: there are none, or nobody reads them so. */
  async rounded(): Promise<readonly RoundedLayer[] | null> {
    const { rounding } = this.#shape;
    if (rounding === null || this.rows === 0) return null;
    invariant(this.isReady, `a window is rounded with ${this.readyRows} of ${this.rows} rows`);
    this.#rounded ??= await rounding.round(this.buffer.view(this.rows), this.rows);
    return this.#rounded;
  }
}

/**
 * All windows, those in use and those kept for the next request with the same prefix.
 *
 * W1 There is one window a prefix; `users` is how many sequences hold it; an idle one has none.
 * W2 Blocks held by the windows' owner are the sum of their rows, and of these in INT8 where they are read so.
 * W3 Idle windows go, the one used longest ago first, before anything else is evicted: their pages are cached too.
 */
export class PrefixWindows {
  readonly #windows = new Map<string, PrefixWindow>();
  readonly #shape: RoundedShape;
  readonly #budget: BlockBudget;
  readonly #pages: PageSource;
  readonly #onLoaded: () => void;

  constructor(shape: RoundedShape, budget: BlockBudget, pages: PageSource, onLoaded: () => void) {
    this.#shape = shape;
    this.#budget = budget;
    this.#pages = pages;
    this.#onLoaded = onLoaded;
    pages.makeRoom = () => this.#giveUpIdle(1)?.release();
  }

  get all(): readonly PrefixWindow[] {
    return [...this.#windows.values()];
  }

  has(key: string): boolean {
    return this.#windows.has(key);
  }

  /** Would the next one who holds this prefix have to read or compute it? */
  isOpenedBy(names: readonly string[]): boolean {
    const window = this.#windows.get(names.at(-1) ?? '');
    return window === undefined ? names.length > 0 : window.users === 0 && !window.isReady;
  }

  /** Blocks that holding this prefix would take beyond those held. */
  blocksFor(names: readonly string[]): number {
    return this.#windows.has(names.at(-1) ?? '') ? 0 : windowBlocks(this.#shape, names.length);
  }

  /**
   * Holds the window of a prefix and starts to fill it when it is new.
   * @param tokens those of its `names.length * 256` rows first
   * @returns null, with nothing changed, when there is no room
   */
  acquire(names: readonly string[], tokens: ArrayLike<number>): PrefixWindow | null {
    const key = names.at(-1) ?? '';
    let window = this.#windows.get(key);
    if (window === undefined) {
      // first of all a use of its pages, so that others are evicted to make room for it
      this.#pages.match(names);
      const blocks = windowBlocks(this.#shape, names.length);
      if (blocks > this.available) return null;
      const used = this.#giveUpIdle(blocks);
      if (!this.#budget.take(owner, blocks)) return null;
      const tokenIds = Int32Array.from({ length: names.length * blockRows }, (_, row) => tokens[row] ?? 0);
      window = new PrefixWindow(names, tokenIds, this.#shape, used);
      this.#fill(window);
    }
    // left half done by requests that were cancelled
    if (window.users === 0) window.cachedRows = window.readyRows;
    // in order of use
    this.#windows.delete(key);
    this.#windows.set(key, window);
    window.users++;
    return window;
  }

  release(window: PrefixWindow): void {
    invariant(window.users > 0, 'a window nobody holds is released');
    window.users--;
  }

  /** `take` of the budget, giving up idle windows when it is short (W3). */
  reserve(who: string, blocks: number): boolean {
    if (blocks > this.available) return false;
    this.#giveUpIdle(blocks)?.release();
    return this.#budget.take(who, blocks);
  }

  giveBack(who: string, blocks: number): void {
    this.#budget.give(who, blocks);
  }

  /** Blocks free, or free once idle windows and cached pages are gone. */
  get available(): number {
    const idle = this.all.filter((window) => isIdle(window));
    return this.#budget.available + idle.reduce((sum, { blocks }) => sum + blocks, 0);
  }

  dropIdle(): void {
    for (let used = this.#dropOldestIdle(); used !== null; used = this.#dropOldestIdle()) used.release();
  }

  /** Rows before `rows` are computed: whole blocks become pages, and what others have of the rest need not be computed. */
  advance(window: PrefixWindow, rows: number): void {
    const before = window.readyRows;
    window.readyRows = rows;
    for (let row = Math.floor(before / blockRows) * blockRows; row + blockRows <= rows; row += blockRows) {
      const index = row / blockRows;
      const name = window.names[index] ?? '';
      this.#pages.keep(name, window.names[index - 1] ?? null, () => window.buffer.copyBlock(row));
    }
    this.#takeCached(window);
    this.#startLoading(window);
  }

  /** W1 and W2. */
  checkIntegrity(users: ReadonlyMap<PrefixWindow, number>): void {
    let blocks = 0;
    for (const window of this.#windows.values()) {
      const known = users.get(window) ?? 0;
      invariant(window.users === known, `window ${window.key} counts ${window.users} users, it has ${known}`);
      blocks += window.blocks;
    }
    const held = this.#budget.heldBy(owner);
    invariant(held === blocks, `windows of ${blocks} blocks hold ${held}`);
  }

  #fill(window: PrefixWindow): void {
    this.#takeCached(window);
    // what an earlier window has left there
    window.buffer.clearFrom(window.readyRows);
    window.cachedRows = window.readyRows;
    this.#startLoading(window, () => {
      window.cachedRows = window.readyRows;
    });
  }

  /** Where a block begins, and the tiers below memory may have it. */
  #startLoading(window: PrefixWindow, onEnd: () => void = () => {}): void {
    const next = window.readyRows / blockRows;
    if (window.isReady || !Number.isInteger(next) || !this.#pages.hasBelow(window.names[next] ?? '')) return;
    window.isLoading = true;
    void this.#load(window).finally(() => {
      window.isLoading = false;
      onEnd();
      this.#onLoaded();
    });
  }

  /** Pages in memory, as far as they go: another request may have computed or loaded them meanwhile. */
  #takeCached(window: PrefixWindow): void {
    while (!window.isReady && window.readyRows % blockRows === 0) {
      const page = this.#pages.read(window.names[window.readyRows / blockRows] ?? '');
      if (page === undefined) return;
      window.buffer.store(window.readyRows, blockRows, page);
      window.readyRows += blockRows;
    }
  }

  async #load(window: PrefixWindow): Promise<void> {
    const first = window.readyRows / blockRows;
    await this.#pages.loadBelow(window.names, first, (page) => {
      if (window.isDropped) return false;
      window.buffer.store(window.readyRows, blockRows, page);
      window.readyRows += blockRows;
      return true;
    });
  }

  /** Returns the memory of the last one given up, for the next window; the caller releases it otherwise. */
  #giveUpIdle(blocks: number): LatentBuffer | null {
    let last: LatentBuffer | null = null;
    while (this.#budget.free < blocks) {
      const next = this.#dropOldestIdle();
      if (next === null) break;
      last?.release();
      last = next;
    }
    return last;
  }

  #dropOldestIdle(): LatentBuffer | null {
    const oldest = this.all.find((window) => isIdle(window) && window.names.length > 0);
    if (oldest === undefined) return null;
    this.#windows.delete(oldest.key);
    oldest.isDropped = true;
    this.#budget.give(owner, oldest.blocks);
    return oldest.buffer;
  }
}

/** Also one that loads: a page may take its time, and nobody waits for it. */
function isIdle({ users }: PrefixWindow): boolean {
  return users === 0;
}
