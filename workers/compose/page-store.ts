import { readFile, writeFile } from 'node:fs/promises';
import { isFamily } from '../../src/base/errors.ts';
import type { Logger } from '../../src/base/log.ts';
import type { EngineStats, PageCarrier, SavedPage, WantedPage } from '../../src/engine/index.ts';
import type { ObjectStore } from '../../src/storage/index.ts';
import { pageKeys } from '../../src/storage/page-keys.contract.ts';
import { TransferRate } from './transfer-rate.ts';

export interface PageStoreDeps {
  readonly store: ObjectStore;
  readonly log: Logger;
  /** A monotonic clock. */
  readonly nowMs: () => number;
  /** Longest that an engine waits for one page. @defaultValue 10 s: the largest pages (36 MB) over a slow line */
  readonly downloadMs?: number;
}

export interface PageStoreStats {
  readonly uploaded: number;
  /** There already. */
  readonly skipped: number;
  /** Given up: gone from disk, refused by the store, or too many waited. */
  readonly dropped: number;
  readonly downloaded: number;
  /** Downloads that the store failed; pages that are not there do not count. */
  readonly failed: number;
}

/** Answers come first: uploads take what is left of the line and of this process. */
const uploadsAtOnce = 2;
/** Pages of a million tokens. What is beyond is dropped, the newest first: pages of one prefix are of use in order. */
const maxWaiting = 4_096;
const firstPauseMs = 1_000;
const maxPauseMs = 60_000;

/**
 * Carries page files between an engine's disk and the object store.
 *
 * P1 Nothing here rejects, and nobody waits for an upload: a page that is lost is computed again.
 * P2 An upload is create-once, so pages that are there stay as they are; only a damaged one is deleted or replaced.
 * P3 After a failure the store is left alone for a second, doubling to a minute: uploads are dropped and downloads
 *    answered with "not there", so that an engine computes instead of waiting.
 */
export class PageStore implements PageCarrier {
  readonly #deps: PageStoreDeps;
  readonly #downloads: TransferRate;
  #waiting: SavedPage[] = [];
  readonly #uploading = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #pausedUntilMs = 0;
  #pauseMs = firstPauseMs;
  readonly #counts = { uploaded: 0, skipped: 0, dropped: 0, downloaded: 0, failed: 0 };

  constructor(deps: PageStoreDeps) {
    this.#deps = deps;
    this.#downloads = new TransferRate(deps.nowMs);
  }

  get bytesPerSecond(): number | null {
    return this.#downloads.bytesPerSecond;
  }

  stats(): PageStoreStats {
    return { ...this.#counts };
  }

  upload(page: SavedPage): void {
    if (this.#closed.signal.aborted || this.#isPaused || this.#waiting.length >= maxWaiting) {
      this.#counts.dropped++;
      return;
    }
    this.#waiting.push(page);
    if (this.#uploading.size < uploadsAtOnce) this.#startUploading();
  }

  async download({ tenant, digest, name, path }: WantedPage): Promise<boolean> {
    const closed = this.#closed.signal;
    if (closed.aborted || this.#isPaused) return false;
    const { store, downloadMs = 10_000 } = this.#deps;
    this.#downloads.begin();
    let bytes = 0;
    try {
      const signal = AbortSignal.any([closed, AbortSignal.timeout(downloadMs)]);
      const found = await store.get(pageKeys.page(tenant, digest, name), { signal });
      bytes = found?.body.byteLength ?? 0;
      if (found !== undefined) await writeFile(path, found.body);
    } catch (error) {
      this.#counts.failed++;
      if (isFamily(error, 'corrupt')) await this.#removeDamaged(pageKeys.page(tenant, digest, name), error);
      else this.#pause(error);
      return false;
    } finally {
      this.#downloads.end(bytes);
    }
    this.#pauseMs = firstPauseMs;
    if (bytes === 0) return false;
    this.#counts.downloaded++;
    return true;
  }

  /** Resolves when nothing waits and nothing is being uploaded. */
  async settled(): Promise<void> {
    while (this.#uploading.size > 0) await Promise.all(this.#uploading);
  }

  /** Drops what waits and ends downloads; an upload that is under way may be cut short, which leaves nothing behind. */
  close(): void {
    this.#closed.abort();
    this.#dropWaiting();
  }

  /** So that it can be uploaded again: an upload does not replace what is there. */
  async #removeDamaged(key: string, err: unknown): Promise<void> {
    this.#deps.log.warn({ err, key }, 'a damaged page is deleted from the object store');
    await this.#deps.store.delete([key]).catch((error: unknown) => this.#pause(error));
  }

  get #isPaused(): boolean {
    return this.#deps.nowMs() < this.#pausedUntilMs;
  }

  #startUploading(): void {
    const uploading = this.#uploadWaiting().finally(() => this.#uploading.delete(uploading));
    this.#uploading.add(uploading);
  }

  async #uploadWaiting(): Promise<void> {
    for (let page = this.#waiting.shift(); page !== undefined; page = this.#waiting.shift()) await this.#upload(page);
  }

  async #upload({ tenant, digest, name, path, bytes, replaces }: SavedPage): Promise<void> {
    const body = await readFile(path).catch(() => undefined);
    if (body?.byteLength !== bytes) {
      // evicted from the disk meanwhile
      this.#counts.dropped++;
      return;
    }
    const { store } = this.#deps;
    const key = pageKeys.page(tenant, digest, name);
    try {
      if (replaces) await store.put(key, body);
      const isThere = !replaces && !(await store.create(key, body)).created;
      this.#counts[isThere ? 'skipped' : 'uploaded']++;
      this.#pauseMs = firstPauseMs;
    } catch (error) {
      this.#counts.dropped++;
      this.#pause(error);
      this.#dropWaiting();
    }
  }

  #dropWaiting(): void {
    this.#counts.dropped += this.#waiting.length;
    this.#waiting = [];
  }

  #pause(err: unknown): void {
    if (this.#closed.signal.aborted || this.#isPaused) return;
    this.#deps.log.warn({ err, pauseMs: this.#pauseMs }, 'pages are not shared for now: the object store failed');
    this.#pausedUntilMs = this.#deps.nowMs() + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, maxPauseMs);
  }
}

/** What an engine says of itself, with what came of the pages it offered. */
export function addUploads(stats: EngineStats | null, pages: PageStore | null): EngineStats | null {
  if (stats === null || stats.tiers.remote === null || pages === null) return stats;
  const remote = { ...stats.tiers.remote, writes: pages.stats().uploaded };
  return { ...stats, tiers: { ...stats.tiers, remote } };
}
