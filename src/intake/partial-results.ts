import { createReadStream } from 'node:fs';
import { appendFile, mkdtemp, readFile, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError } from '../base/errors.ts';
import { type BatchProgress, type BatchRecord, BatchWatch, type LineResult, type Plan } from '../batch/index.ts';
import type { ObjectStore } from '../storage/index.ts';
import { type FencedOutputs, maxFencedBytes } from './fenced-outputs.ts';

const minIntervalMs = 1_000;
/** The whole object is written each time, so a long one is written more seldom: a second a mebibyte, at most a minute. */
const intervalMsPerMebibyte = 1_000;
const maxIntervalMs = 60_000;

/**
 * The finished lines of a running batch, in the order in which they finished. They lie in a temporary file, so that
 * 50,000 of them need no memory; of each the process keeps only that it was there.
 */
export class PartialResults {
  readonly #watch: BatchWatch;
  #folder: Promise<string> | null = null;
  #unsaved: LineResult[] = [];
  #savedBytes = 0;
  /** A write failed: the file may be longer than what counts. */
  #isTorn = false;
  #publishedBytes = 0;
  #publishedMs = Number.NEGATIVE_INFINITY;

  constructor(store: ObjectStore, batch: Pick<BatchRecord, 'tenant' | 'id'>, plan: Plan) {
    this.#watch = new BatchWatch(store, batch, plan, (result) => this.#unsaved.push(result));
  }

  /** Reads what is new in the unit logs. @throws `transient.*`, `corrupt.*` */
  async refresh(): Promise<BatchProgress> {
    await this.#watch.refresh();
    await this.#save();
    return this.#watch.progress();
  }

  /** When new lines may be published; null when there are none. */
  dueMs(): number | null {
    if (this.#savedBytes === this.#publishedBytes) return null;
    const grown = (this.#publishedBytes / (1 << 20)) * intervalMsPerMebibyte;
    return this.#publishedMs + Math.min(Math.max(minIntervalMs, grown), maxIntervalMs);
  }

  /** `outputs` must have been prepared for the key before the last `refresh`. */
  async publish(outputs: FencedOutputs, key: string, nowMs: number): Promise<void> {
    const bytes = this.#savedBytes;
    const path = await this.#path();
    const contentType = 'application/jsonl';
    if (bytes <= maxFencedBytes) await outputs.write(key, await onDisk(() => readFile(path)), contentType);
    else await outputs.writeStream(key, createReadStream(path, { end: bytes - 1 }), contentType);
    this.#publishedBytes = bytes;
    this.#publishedMs = nowMs;
  }

  async close(): Promise<void> {
    const folder = await this.#folder?.catch(() => null);
    if (typeof folder === 'string') await rm(folder, { recursive: true, force: true }).catch(() => {});
  }

  async #save(): Promise<void> {
    if (this.#unsaved.length === 0) return;
    const lines = this.#unsaved;
    const text = Buffer.from(lines.map(({ output }) => `${JSON.stringify(output)}\n`).join(''));
    const path = await this.#path();
    await onDisk(async () => {
      if (this.#isTorn) await truncate(path, this.#savedBytes);
      this.#isTorn = true;
      await appendFile(path, text, { mode: 0o600 });
      this.#isTorn = false;
    });
    this.#unsaved = this.#unsaved.slice(lines.length);
    this.#savedBytes += text.length;
  }

  async #path(): Promise<string> {
    this.#folder ??= onDisk(() => mkdtemp(join(tmpdir(), 'quire-intake-')));
    return join(await this.#folder, 'results.jsonl');
  }
}

/** A full disk of ours is nobody's fault: try again later. */
async function onDisk<Result>(run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (cause) {
    throw new AppError('transient.store-error', 'temporary file could not be written or read', { cause });
  }
}
