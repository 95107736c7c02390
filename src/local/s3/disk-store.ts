import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { compareKeys } from '../../storage/key-order.contract.ts';
import type { WriteCondition } from './conditions.ts';
import { DirectorySync } from './directory-sync.ts';
import { KeyLock } from './key-lock.ts';
import { checkKeyText, keyFolder, longFolder, placeOfKey } from './key-path.ts';
import { type KeyCursor, KeyList, KeyWalk, MergedKeys } from './key-walk.ts';
import {
  findObjectMeta,
  isMissing,
  type ObjectMeta,
  type OpenObject,
  openObjectFile,
  type WrittenObject,
  writeObjectFile,
} from './object-file.ts';
import { keptBodyBytes, type RecentObject, RecentObjects } from './recent-objects.ts';
import { S3Error } from './s3-error.ts';

/**
 * Objects in a folder:
 *
 *   buckets/<bucket>/{keys,long}/…   see key-path.ts
 *   uploads/<bucket>/…               see disk-uploads.ts
 *   tmp/…                            files being written; emptied when the store opens
 *
 * D1  A file appears under its key by one rename, after its bytes were synced: a crash leaves the old object or the new.
 * D2  A write or delete that was acknowledged is durable: the folder was synced too. A reader may see a write a moment
 *     before that; only a loss of power in this moment takes it back, and then its writer was never told that it counts.
 * D3  Condition and rename happen under the key's lock, so of many conditional writers exactly one wins.
 */
export interface PutObject {
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Asked after the last chunk. */
  readonly meta: () => ObjectMeta;
  readonly condition: WriteCondition;
}

export class DiskStore {
  private readonly dir: string;
  private readonly sync: DirectorySync;
  private readonly lock = new KeyLock();
  private readonly recent = new RecentObjects();
  /** Per bucket, the keys under `long/`: their file names do not tell them. */
  private readonly longKeys: Map<string, Set<string>>;

  private constructor(dir: string, sync: DirectorySync, longKeys: Map<string, Set<string>>) {
    this.dir = dir;
    this.sync = sync;
    this.longKeys = longKeys;
  }

  /** Makes the folder if need be and removes what an earlier process left half-written. */
  static async open(dir: string): Promise<DiskStore> {
    await rm(join(dir, 'tmp'), { recursive: true, force: true });
    for (const name of ['tmp', 'buckets', 'uploads']) await mkdir(join(dir, name), { recursive: true, mode: 0o700 });
    const longKeys = new Map<string, Set<string>>();
    for (const bucket of await readdir(join(dir, 'buckets'))) {
      longKeys.set(bucket, await loadLongKeys(join(dir, 'buckets', bucket, longFolder)));
    }
    return new DiskStore(dir, new DirectorySync(dir), longKeys);
  }

  get tmpDir(): string {
    return join(this.dir, 'tmp');
  }

  get uploadsDir(): string {
    return join(this.dir, 'uploads');
  }

  get directories(): DirectorySync {
    return this.sync;
  }

  /** False when it was there already. Throws `InvalidBucketName`. */
  async createBucket(bucket: string): Promise<boolean> {
    if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) || bucket.includes('..')) {
      throw new S3Error('InvalidBucketName', 'a bucket name has 3 to 63 of a-z, 0-9, dot and hyphen', {
        BucketName: bucket,
      });
    }
    return this.lock.run(bucket, async () => {
      if (this.longKeys.has(bucket)) return false;
      for (const folder of [keyFolder, longFolder]) {
        await mkdir(join(this.bucketDir(bucket), folder), { recursive: true, mode: 0o700 });
      }
      await this.sync.syncAdded(this.bucketDir(bucket));
      this.longKeys.set(bucket, new Set());
      return true;
    });
  }

  /** Names in order, with the time of creation. */
  async listBuckets(): Promise<readonly { readonly name: string; readonly createdMs: number }[]> {
    const names = [...this.longKeys.keys()].sort(compareKeys);
    return Promise.all(
      names.map(async (name) => ({ name, createdMs: (await stat(this.bucketDir(name))).birthtimeMs })),
    );
  }

  /** Throws `NoSuchBucket`. */
  checkBucket(bucket: string): void {
    this.longKeysOf(bucket);
  }

  async put(bucket: string, key: string, { chunks, meta, condition }: PutObject): Promise<ObjectMeta> {
    this.fileOf(bucket, key);
    const written = await writeObjectFile(this.tmpDir, chunks, meta);
    await this.place(bucket, key, written, condition);
    return written.meta;
  }

  /** Moves a finished file under its key, or removes it when the condition does not hold. */
  async place(bucket: string, key: string, written: WrittenObject, condition: WriteCondition): Promise<void> {
    const path = this.fileOf(bucket, key);
    try {
      await this.lock.run(path, async () => {
        condition(await this.findMeta(path));
        await renameInto(written.path, path);
        this.recent.keep(path, toRecent(written));
        this.rememberLong(bucket, key, true);
        await this.sync.syncAdded(dirname(path));
      });
    } catch (error) {
      await rm(written.path, { force: true });
      throw error;
    }
  }

  async find(bucket: string, key: string): Promise<ObjectMeta | undefined> {
    return this.findMeta(this.fileOf(bucket, key));
  }

  /** The whole object, if it is short and was written lately: no file is touched. */
  findRecent(bucket: string, key: string): { readonly meta: ObjectMeta; readonly body: Buffer } | undefined {
    const recent = this.recent.find(this.fileOf(bucket, key));
    return recent === undefined || recent.body === null ? undefined : { meta: recent.meta, body: recent.body };
  }

  /** The caller closes the file. */
  async open(bucket: string, key: string): Promise<OpenObject | undefined> {
    return openObjectFile(this.fileOf(bucket, key));
  }

  /** Absent keys are no error, unless the condition makes them one. */
  async delete(bucket: string, key: string, condition: WriteCondition): Promise<void> {
    const path = this.fileOf(bucket, key);
    await this.lock.run(path, async () => {
      condition(await this.findMeta(path));
      this.recent.forget(path);
      try {
        await rm(path);
      } catch (error) {
        if (isMissing(error)) return;
        throw error;
      }
      this.rememberLong(bucket, key, false);
      await this.sync.syncRemoved(dirname(path));
      await this.prune(bucket, dirname(path));
    });
  }

  /** Keys starting with `prefix`, after `after`, in order. */
  openCursor(bucket: string, prefix: string, after: string): KeyCursor {
    const long = [...this.longKeysOf(bucket)].filter((key) => key.startsWith(prefix) && compareKeys(key, after) > 0);
    const walk = new KeyWalk(this.bucketDir(bucket), prefix, after);
    return new MergedKeys([walk, new KeyList(long.sort(compareKeys))]);
  }

  private bucketDir(bucket: string): string {
    return join(this.dir, 'buckets', bucket);
  }

  private longKeysOf(bucket: string): Set<string> {
    const keys = this.longKeys.get(bucket);
    if (keys === undefined) {
      throw new S3Error('NoSuchBucket', 'the bucket does not exist', { BucketName: bucket });
    }
    return keys;
  }

  /** Throws `NoSuchBucket` and what `checkKeyText` throws. */
  private fileOf(bucket: string, key: string): string {
    this.longKeysOf(bucket);
    checkKeyText(key);
    return join(this.bucketDir(bucket), placeOfKey(key).path);
  }

  private async findMeta(path: string): Promise<ObjectMeta | undefined> {
    return this.recent.find(path)?.meta ?? findObjectMeta(path);
  }

  private rememberLong(bucket: string, key: string, isThere: boolean): void {
    if (placeOfKey(key).type !== 'long') return;
    if (isThere) this.longKeysOf(bucket).add(key);
    else this.longKeysOf(bucket).delete(key);
  }

  /** Removes folders that became empty; a write that comes between makes them again. */
  private async prune(bucket: string, from: string): Promise<void> {
    const bucketDir = this.bucketDir(bucket);
    for (let dir = from; relative(bucketDir, dir).includes('/'); dir = dirname(dir)) {
      this.sync.forget(dir);
      try {
        await rmdir(dir);
      } catch {
        // not empty, or another delete was faster
        return;
      }
    }
  }
}

/** The body is copied: what it was cut from is longer, and would be kept with it. */
function toRecent({ meta, body }: WrittenObject): RecentObject {
  const isShort = body !== null && body.byteLength <= keptBodyBytes;
  return { meta, body: isShort ? Buffer.from(Uint8Array.from(body).buffer) : null };
}

/** Makes missing folders; a concurrent delete may prune them again in between. */
async function renameInto(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await rename(from, to);
    } catch (error) {
      if (!isMissing(error) || attempt === 100) throw error;
    }
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  }
}

async function loadLongKeys(dir: string): Promise<Set<string>> {
  const keys = new Set<string>();
  for (const name of await readdir(dir).catch(() => [])) {
    const meta = await findObjectMeta(join(dir, name));
    if (meta !== undefined) keys.add(meta.key);
  }
  return keys;
}
