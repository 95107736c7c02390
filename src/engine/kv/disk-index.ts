import type { StoredPage } from './page-folder.ts';

/** A file to drop: a page of this engine by its name, or another engine's by its path. */
export type DropCandidate =
  | { readonly type: 'own'; readonly name: string }
  | { readonly type: 'other'; readonly page: StoredPage };

/**
 * What is known of a page folder without touching it: pages of this engine by last use, and those of other digests,
 * which go first. What other processes write is not seen until the next listing.
 */
export class DiskIndex {
  readonly #fileBytes: number;
  /** Oldest use first. */
  readonly #own = new Set<string>();
  /** Oldest use last. */
  #others: StoredPage[] = [];
  #otherBytes = 0;

  /** @param fileBytes of every page file of this engine */
  constructor(fileBytes: number) {
    this.#fileBytes = fileBytes;
  }

  get pageTotal(): number {
    return this.#own.size;
  }

  /** Of all files, those of other digests included. */
  get bytes(): number {
    return this.#own.size * this.#fileBytes + this.#otherBytes;
  }

  has(name: string): boolean {
    return this.#own.has(name);
  }

  /** Adds a page, or makes it the one used last. */
  use(name: string): void {
    this.#own.delete(name);
    this.#own.add(name);
  }

  remove(name: string): void {
    this.#own.delete(name);
  }

  /** Takes out what is to be dropped first; undefined when nothing is left. */
  takeOldest(): DropCandidate | undefined {
    const page = this.#others.pop();
    if (page !== undefined) {
      this.#otherBytes -= page.bytes;
      return { type: 'other', page };
    }
    for (const name of this.#own) {
      this.#own.delete(name);
      return { type: 'own', name };
    }
    return undefined;
  }

  /** Puts back what could not be dropped, as the last to be tried again. */
  putBack(candidate: DropCandidate): void {
    if (candidate.type === 'own') {
      this.use(candidate.name);
      return;
    }
    this.#others.unshift(candidate.page);
    this.#otherBytes += candidate.page.bytes;
  }

  /** Starts anew from a listing; both lists oldest use first. */
  replace(own: readonly string[], others: readonly StoredPage[]): void {
    this.#own.clear();
    for (const name of own) this.#own.add(name);
    this.#others = others.toReversed();
    this.#otherBytes = others.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}
