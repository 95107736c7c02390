import { AppError } from '../../base/errors.ts';
import type { TierStats } from '../messages.ts';
import type { PageLatents, PageTier } from '../ports.ts';

/** Keeps copies of pages in memory; the one used longest ago goes first. Throws `input.config` for a budget that is not a count of bytes. */
export function openMemoryTier(budgetBytes: number): PageTier {
  if (!Number.isSafeInteger(budgetBytes) || budgetBytes < 0) {
    const what = `the budget for pages in memory is ${budgetBytes} bytes, not a whole number from 0`;
    throw new AppError('input.config', what, { details: { budgetBytes } });
  }
  return new MemoryTier(budgetBytes);
}

class MemoryTier implements PageTier {
  readonly #budgetBytes: number;
  /** Oldest use first. */
  readonly #pages = new Map<string, PageLatents>();
  #bytes = 0;
  readonly #counts = { hits: 0, misses: 0, writes: 0, evictions: 0 };
  #closed = false;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  has(name: string): boolean {
    return this.#pages.has(name);
  }

  async load(name: string): Promise<PageLatents | undefined> {
    const latents = this.#pages.get(name);
    if (latents === undefined) {
      this.#counts.misses++;
      return undefined;
    }
    this.#counts.hits++;
    this.#pages.delete(name);
    this.#pages.set(name, latents);
    return latents.slice();
  }

  async save(name: string, latents: PageLatents): Promise<void> {
    if (this.#closed || this.#pages.has(name) || latents.byteLength > this.#budgetBytes) return;
    for (const [oldest, { byteLength }] of this.#pages) {
      if (this.#bytes + latents.byteLength <= this.#budgetBytes) break;
      this.#pages.delete(oldest);
      this.#bytes -= byteLength;
      this.#counts.evictions++;
    }
    this.#pages.set(name, latents.slice());
    this.#bytes += latents.byteLength;
    this.#counts.writes++;
  }

  stats(): TierStats {
    return { pages: this.#pages.size, bytes: this.#bytes, budgetBytes: this.#budgetBytes, ...this.#counts, corrupt: 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pages.clear();
    this.#bytes = 0;
  }
}
