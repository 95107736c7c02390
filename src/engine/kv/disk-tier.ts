import { statSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AppError, isFamily } from '../../base/errors.ts';
import { invariant } from '../../base/invariant.ts';
import { type Logger, silentLogger } from '../../base/log.ts';
import type { TierStats } from '../messages.ts';
import type { PageLatents, PageTier } from '../ports.ts';
import { ConcurrencyLimit } from './concurrency-limit.ts';
import { DiskIndex } from './disk-index.ts';
import { pageFileBytes } from './page-file.ts';
import {
  isAbsent,
  isDiskFull,
  isPageName,
  isSystemError,
  listPageFolder,
  pagePath,
  removeFile,
  temporaryPath,
} from './page-folder.ts';
import { createPageFile, readPageFile } from './page-io.ts';
import { type PageShape, pageBytes, pageFloats } from './page-shape.ts';

/**
 * Pages in files of a folder (`page-folder.ts`, `page-file.ts`), read and written by several engine processes at once.
 *
 * K1 `load` gives exactly the latents that were saved under the name, or nothing, whatever happened to the file. A file
 *    that does not decode is deleted, counted as corrupt, and may be saved again.
 * K2 A page's file appears whole, by renaming. Nothing is synced: a file that a power cut tore falls under K1.
 * K3 Every file that this tier knows counts against `budgetBytes`; room is made before a page is written. Files of other
 *    digests go first, then own pages, each by last use, which a file's modification time keeps across processes.
 * K4 No error of the file system leaves the tier: the page is given up and counted. After the nth failed write in a row
 *    the next 2^n saves (at most 1,024) are given up untried. A disk that is full before the budget is lowers the limit
 *    to what is there, until the tier is opened again: later pages then take the place of old ones.
 * K5 At most eight writes at a time and sixteen files that others write (`receive`), fewer of each when they would be a
 *    quarter of the budget, and four reads. Saves that wait hold at most 256 MiB of pages (but four pages always); beyond
 *    that they are given up.
 *
 * What other processes do to the folder: a file that vanished is a miss; a file that appeared is found by the one `stat`
 * that `has` makes when the index lacks a name; the folder is listed anew whenever a quarter of the budget was written.
 * So n processes keep one folder below budget × (1 + n / 4), and a single one keeps it below its budget.
 */
export interface DiskTier extends PageTier {
  /** Of every page's file. */
  readonly fileBytes: number;
  /** Pages given up because the file system or a full queue did not take them, or could not give them. */
  readonly failures: number;
  /**
   * Takes the file of a page that somebody else writes, unchecked: `load` will check it.
   * @param write is given the path of the new file, and says whether it lies there
   * @returns whether the tier has a file of that page now
   */
  receive(name: string, write: (path: string) => Promise<boolean>): Promise<boolean>;
}

export interface DiskTierOptions extends PageShape {
  readonly folder: string;
  /** `ModelRunner.digest`: pages of other engines are of no use to this one. */
  readonly digest: string;
  readonly budgetBytes: number;
  /** Pages that wait to be written (K5). @defaultValue 256 MiB: seconds of writing on a slow disk */
  readonly waitingBytes?: number;
  /** A page was saved and has its file; not called for received ones. */
  readonly onStored?: (name: string) => void;
  readonly log?: Logger;
}

const readsAtOnce = 4;
/**
 * A write takes several turns of the event loop, and between two of them a run of the model may pass: one after the
 * other they would fall behind a prefill that fills a page a run.
 */
const writesAtOnce = 8;
const receivesAtOnce = 16;
const defaultWaitingBytes = 256 * 1024 * 1024;
const maxPause = 1024;

/**
 * Opens the tier and lists its folder, which is made if need be; files of a wrong size, what dead processes left half
 * written and what exceeds the budget are removed. Throws `input.config` for a folder that cannot be used and for a budget below one
 * page.
 */
export async function openDiskTier(options: DiskTierOptions): Promise<DiskTier> {
  const { folder, budgetBytes } = options;
  invariant(isPageName(options.digest), `engine digest ${options.digest} is not a lower-case hex sha256`);
  const tier = new FolderTier(options);
  if (!Number.isSafeInteger(budgetBytes) || budgetBytes < tier.fileBytes) {
    const what = `the budget for pages on disk is ${budgetBytes} bytes, one page takes ${tier.fileBytes}`;
    throw new AppError('input.config', what, { details: { budgetBytes, pageBytes: tier.fileBytes } });
  }
  try {
    await mkdir(folder, { recursive: true });
    await tier.start();
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const what = `cannot use the folder for pages ${folder}: ${(error as Error).message}`;
    throw new AppError('input.config', what, { details: { folder }, cause: error });
  }
  return tier;
}

class FolderTier implements DiskTier {
  readonly fileBytes: number;
  readonly #folder: string;
  readonly #digest: string;
  readonly #shape: PageShape;
  readonly #budgetBytes: number;
  readonly #maxSaving: number;
  readonly #onStored: (name: string) => void;
  readonly #log: Logger;
  readonly #index: DiskIndex;
  readonly #reads = new ConcurrencyLimit(readsAtOnce);
  readonly #writes: ConcurrencyLimit;
  readonly #receives: ConcurrencyLimit;
  readonly #saving = new Map<string, Promise<void>>();
  /** Loads and receives. */
  readonly #loading = new Set<Promise<unknown>>();
  /** Pages whose file is bad and could not be removed: absent until they are saved again. */
  readonly #refused = new Set<string>();
  /** Of all files: the budget, or what a full disk had room for. */
  #limitBytes: number;
  #unlistedBytes = 0;
  #failuresInRow = 0;
  #pause = 0;
  #closed = false;
  readonly #counts = { hits: 0, misses: 0, writes: 0, evictions: 0, corrupt: 0, failures: 0 };

  constructor(options: DiskTierOptions) {
    const { folder, digest, layers, latentWidth, budgetBytes } = options;
    const { waitingBytes = defaultWaitingBytes, onStored = () => {}, log = silentLogger } = options;
    this.#folder = folder;
    this.#digest = digest;
    this.#shape = { layers, latentWidth };
    this.#budgetBytes = budgetBytes;
    this.#limitBytes = budgetBytes;
    this.#maxSaving = Math.max(4, Math.floor(waitingBytes / pageBytes(this.#shape)));
    this.#onStored = onStored;
    this.#log = log;
    // names are as long as the digest
    this.fileBytes = pageFileBytes({ name: digest, shape: this.#shape });
    this.#index = new DiskIndex(this.fileBytes);
    const roomy = Math.floor(budgetBytes / this.fileBytes / 4);
    this.#writes = new ConcurrencyLimit(Math.max(1, Math.min(writesAtOnce, roomy)));
    this.#receives = new ConcurrencyLimit(Math.max(1, Math.min(receivesAtOnce, roomy)));
  }

  get failures(): number {
    return this.#counts.failures;
  }

  has(name: string): boolean {
    if (this.#closed || !isPageName(name) || this.#refused.has(name)) return false;
    if (this.#index.has(name)) return true;
    if (!this.#isStored(name)) return false;
    this.#index.use(name);
    return true;
  }

  async load(name: string): Promise<PageLatents | undefined> {
    const readable = !this.#closed && isPageName(name) && !this.#refused.has(name);
    const latents = readable ? await this.#track(this.#reads.run(() => this.#read(name))) : undefined;
    if (latents === undefined) this.#counts.misses++;
    else this.#counts.hits++;
    return latents;
  }

  async save(name: string, latents: PageLatents): Promise<void> {
    invariant(isPageName(name), `page name ${name} is not a lower-case hex sha256`);
    const floats = pageFloats(this.#shape);
    invariant(latents.length === floats, `page ${name} has ${latents.length} values, its shape ${floats}`);
    const running = this.#saving.get(name);
    if (running !== undefined) return running;
    if (this.#closed || this.has(name)) return;
    if (this.#saving.size >= this.#maxSaving) {
      this.#counts.failures++;
      return;
    }
    const saving = this.#writes.run(() => this.#write(name, latents)).finally(() => this.#saving.delete(name));
    this.#saving.set(name, saving);
    return saving;
  }

  async receive(name: string, write: (path: string) => Promise<boolean>): Promise<boolean> {
    invariant(isPageName(name), `page name ${name} is not a lower-case hex sha256`);
    if (this.#closed) return false;
    if (this.has(name)) return true;
    return this.#track(this.#receives.run(() => this.#receive(name, write)));
  }

  stats(): TierStats {
    const { hits, misses, writes, evictions, corrupt } = this.#counts;
    const { pageTotal: pages, bytes } = this.#index;
    return { pages, bytes, budgetBytes: this.#budgetBytes, hits, misses, writes, evictions, corrupt };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled([...this.#saving.values(), ...this.#loading]);
  }

  /** Closing waits for it. */
  async #track<Value>(work: Promise<Value>): Promise<Value> {
    this.#loading.add(work);
    return work.finally(() => this.#loading.delete(work));
  }

  /** Lists the folder and brings it within the budget. Throws what the file system says when it cannot be listed. */
  async start(): Promise<void> {
    await this.#list();
    try {
      await this.#shrink(this.#limitBytes);
    } catch (error) {
      this.#failWrite(error);
    }
  }

  /** Makes the index what the folder is. */
  async #list(): Promise<void> {
    const { pages, leftovers } = await listPageFolder(this.#folder);
    for (const path of leftovers) await this.#tryRemove(path);
    const own = pages.filter(({ digest, name }) => digest === this.#digest && !this.#refused.has(name));
    const damaged = own.filter(({ bytes }) => bytes !== this.fileBytes);
    for (const { name, bytes } of damaged) await this.#dropCorrupt(name, `has ${bytes} bytes, not ${this.fileBytes}`);
    this.#index.replace(
      own.filter(({ bytes }) => bytes === this.fileBytes).map(({ name }) => name),
      pages.filter(({ digest }) => digest !== this.#digest),
    );
    this.#unlistedBytes = 0;
  }

  async #read(name: string): Promise<PageLatents | undefined> {
    const path = pagePath(this.#folder, this.#digest, name);
    const wasKnown = this.#index.has(name);
    try {
      const latents = await readPageFile(path, { name, shape: this.#shape });
      // one that was evicted meanwhile stays so
      if (!wasKnown || this.#index.has(name)) this.#index.use(name);
      return latents;
    } catch (error) {
      this.#index.remove(name);
      if (isFamily(error, 'corrupt')) await this.#dropCorrupt(name, (error as Error).message);
      else if (!isSystemError(error)) throw error;
      else if (!isAbsent(error)) this.#refuse(name, error);
      return undefined;
    }
  }

  async #write(name: string, latents: PageLatents): Promise<void> {
    if (this.#pause > 0) {
      this.#pause--;
      this.#counts.failures++;
      return;
    }
    const temporary = temporaryPath(this.#folder, this.#digest, name);
    try {
      await this.#makeRoom();
      await createPageFile(temporary, { name, shape: this.#shape }, latents);
      await rename(temporary, pagePath(this.#folder, this.#digest, name));
    } catch (error) {
      await this.#tryRemove(temporary);
      this.#failWrite(error);
      return;
    }
    this.#keep(name);
    this.#onStored(name);
  }

  async #receive(name: string, write: (path: string) => Promise<boolean>): Promise<boolean> {
    const temporary = temporaryPath(this.#folder, this.#digest, name);
    try {
      await this.#makeRoom();
      await mkdir(dirname(temporary), { recursive: true });
      if (!(await write(temporary))) {
        await this.#tryRemove(temporary);
        return false;
      }
      await rename(temporary, pagePath(this.#folder, this.#digest, name));
    } catch (error) {
      await this.#tryRemove(temporary);
      this.#failWrite(error);
      return false;
    }
    this.#keep(name);
    return true;
  }

  /** A page has its file. */
  #keep(name: string): void {
    this.#index.use(name);
    this.#refused.delete(name);
    this.#unlistedBytes += this.fileBytes;
    this.#counts.writes++;
    this.#failuresInRow = 0;
  }

  async #makeRoom(): Promise<void> {
    if (this.#unlistedBytes > this.#budgetBytes / 4) await this.#list();
    // room for every page that is being written, this one included
    const running = this.#writes.running + this.#receives.running;
    await this.#shrink(Math.max(0, this.#limitBytes - this.fileBytes * running));
  }

  /** Drops files until at most so many bytes are left; throws what the file system says when one cannot be removed. */
  async #shrink(limitBytes: number): Promise<void> {
    while (this.#index.bytes > limitBytes) {
      const oldest = this.#index.takeOldest();
      invariant(oldest !== undefined, `${this.#index.bytes} bytes of pages on disk, and no page`);
      const path = oldest.type === 'own' ? pagePath(this.#folder, this.#digest, oldest.name) : oldest.page.path;
      try {
        await removeFile(path);
      } catch (error) {
        this.#index.putBack(oldest);
        throw error;
      }
      this.#counts.evictions++;
    }
  }

  /** For files that nothing depends on: one that stays is tried again when the next process lists the folder. */
  async #tryRemove(path: string): Promise<void> {
    try {
      await removeFile(path);
    } catch (err) {
      this.#log.warn({ err }, 'a temporary file of a page cannot be removed');
    }
  }

  #failWrite(err: unknown): void {
    if (!isSystemError(err)) throw err;
    if (isDiskFull(err)) this.#limitBytes = Math.max(this.fileBytes, Math.min(this.#limitBytes, this.#index.bytes));
    this.#counts.failures++;
    this.#failuresInRow++;
    this.#pause = Math.min(2 ** this.#failuresInRow, maxPause);
    if (this.#failuresInRow === 1) this.#log.warn({ err }, 'a page cannot be written to disk');
  }

  #refuse(name: string, err: unknown): void {
    this.#refused.add(name);
    this.#counts.failures++;
    this.#log.warn({ err, page: name }, 'a page cannot be read from disk');
  }

  async #dropCorrupt(name: string, reason: string): Promise<void> {
    this.#counts.corrupt++;
    this.#log.warn({ page: name, reason }, 'a damaged page is dropped from disk');
    try {
      await removeFile(pagePath(this.#folder, this.#digest, name));
    } catch (error) {
      this.#refuse(name, error);
    }
  }

  /** Is there a file of a page's size? */
  #isStored(name: string): boolean {
    try {
      // the common answer is no, and an error takes three times as long to be thrown
      const found = statSync(pagePath(this.#folder, this.#digest, name), { throwIfNoEntry: false });
      return found?.isFile() === true && found.size === this.fileBytes;
    } catch {
      // whatever keeps it from being looked at keeps it from being read
      return false;
    }
  }
}
