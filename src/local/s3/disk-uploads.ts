import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AppError } from '../../base/errors.ts';
import { compareKeys } from '../../storage/key-order.contract.ts';
import { type Checksum, type ChecksumAlgorithm, openChecksum, type RunningChecksum } from './checksums.ts';
import type { WriteCondition } from './conditions.ts';
import type { DiskStore } from './disk-store.ts';
import { KeyLock } from './key-lock.ts';
import { checkKeyText } from './key-path.ts';
import {
  findObjectMeta,
  isMissing,
  type ObjectMeta,
  openObjectFile,
  readChunks,
  writeObjectFile,
} from './object-file.ts';
import { S3Error } from './s3-error.ts';

/**
 * Uploads in parts: `uploads/<bucket>/<upload id>/upload.json` and one object file per part, `<number>`.
 *
 * U1  Parts are synced when they are acknowledged, so a completion after a crash finds them.
 * U2  Completion joins the parts into one new file and renames it like any put; the upload is removed after that. A crash
 *     in between leaves the object and the upload: completing again gives the same object.
 * U3  Part, completion and abort of one upload exclude each other.
 */
export interface Upload {
  readonly version: 1;
  readonly id: string;
  readonly bucket: string;
  readonly key: string;
  readonly initiatedMs: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly checksumAlgorithm: ChecksumAlgorithm | null;
  readonly checksumType: Checksum['type'] | null;
}

export interface UploadPart {
  readonly partNumber: number;
  readonly meta: ObjectMeta;
}

/** What the client says a part was; checksums are compared when given. */
export interface ListedPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, string>;
}

export interface Completion {
  readonly condition: WriteCondition;
  readonly lastModifiedMs: number;
  /** Throws to refuse the finished object before it becomes visible. */
  readonly check: (meta: ObjectMeta) => void;
}

export const maxPartNumber = 10_000;
const minPartBytes = 5 * 1024 * 1024;
const maxObjectBytes = 5 * 1024 ** 4;
const recordName = 'upload.json';

export class DiskUploads {
  private readonly store: DiskStore;
  private readonly lock = new KeyLock();

  constructor(store: DiskStore) {
    this.store = store;
  }

  /** Removes what was never completed nor aborted, and what a crash left of an upload that was. */
  async removeBefore(initiatedMs: number): Promise<void> {
    for (const bucket of await namesOf(this.store.uploadsDir)) {
      for (const id of await namesOf(join(this.store.uploadsDir, bucket))) {
        const dir = this.dirOf(bucket, id);
        const upload = await loadUpload(dir);
        if (upload === undefined || upload.initiatedMs < initiatedMs) await rm(dir, { recursive: true, force: true });
      }
    }
  }

  async create(fields: Omit<Upload, 'version' | 'id'>): Promise<Upload> {
    this.store.checkBucket(fields.bucket);
    checkKeyText(fields.key);
    const upload: Upload = { version: 1, id: randomBytes(16).toString('hex'), ...fields };
    const dir = this.dirOf(upload.bucket, upload.id);
    const tmpPath = join(this.store.tmpDir, upload.id);
    const file = await open(tmpPath, 'wx', 0o600);
    try {
      await file.writeFile(JSON.stringify(upload));
      await file.datasync();
    } finally {
      await file.close();
    }
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await rename(tmpPath, join(dir, recordName));
    await this.store.directories.syncAdded(dir);
    return upload;
  }

  /** Throws `NoSuchUpload` when it is not there or belongs to another key. */
  async get(bucket: string, key: string, id: string): Promise<Upload> {
    this.store.checkBucket(bucket);
    const upload = /^[0-9a-f]{32}$/.test(id) ? await loadUpload(this.dirOf(bucket, id)) : undefined;
    if (upload?.key === key) return upload;
    throw new S3Error('NoSuchUpload', 'the upload does not exist; it may have been aborted or completed');
  }

  async putPart(
    upload: Upload,
    partNumber: number,
    chunks: AsyncIterable<Uint8Array>,
    meta: () => ObjectMeta,
  ): Promise<ObjectMeta> {
    const written = await writeObjectFile(this.store.tmpDir, chunks, meta);
    const dir = this.dirOf(upload.bucket, upload.id);
    try {
      await this.lock.run(upload.id, async () => {
        await this.get(upload.bucket, upload.key, upload.id);
        await rename(written.path, join(dir, nameOfPart(partNumber)));
      });
    } catch (error) {
      await rm(written.path, { force: true });
      throw error;
    }
    await this.store.directories.syncRemoved(dir);
    return written.meta;
  }

  async listParts(upload: Upload): Promise<readonly UploadPart[]> {
    const dir = this.dirOf(upload.bucket, upload.id);
    const numbers = (await namesOf(dir)).filter((name) => /^\d{5}$/.test(name)).map(Number);
    const parts = await Promise.all(
      numbers
        .sort((a, b) => a - b)
        .map(async (partNumber) => ({
          partNumber,
          meta: await findObjectMeta(join(dir, nameOfPart(partNumber))),
        })),
    );
    return parts.flatMap(({ partNumber, meta }) => (meta === undefined ? [] : [{ partNumber, meta }]));
  }

  /** By key, then by time. */
  async listUploads(bucket: string): Promise<readonly Upload[]> {
    this.store.checkBucket(bucket);
    const ids = await namesOf(join(this.store.uploadsDir, bucket));
    const found = await Promise.all(ids.map((id) => loadUpload(this.dirOf(bucket, id))));
    return found
      .filter((upload) => upload !== undefined)
      .sort((a, b) => compareKeys(a.key, b.key) || a.initiatedMs - b.initiatedMs || compareKeys(a.id, b.id));
  }

  async abort(upload: Upload): Promise<void> {
    await this.lock.run(upload.id, async () => {
      await this.get(upload.bucket, upload.key, upload.id);
      await this.remove(upload);
    });
  }

  /** Joins the listed parts. Throws `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall` and what the condition throws. */
  async complete(
    upload: Upload,
    listed: readonly ListedPart[],
    { condition, lastModifiedMs, check }: Completion,
  ): Promise<ObjectMeta> {
    return this.lock.run(upload.id, async () => {
      await this.get(upload.bucket, upload.key, upload.id);
      const parts = checkParts(listed, await this.listParts(upload));
      // refused here, a long copy is saved; decided again under the key's lock
      condition(await this.store.find(upload.bucket, upload.key));
      const joined = joinChecksums(upload, parts);
      const meta = (): ObjectMeta => ({
        key: upload.key,
        bytes: parts.reduce((sum, part) => sum + part.meta.bytes, 0),
        etag: etagOfParts(parts),
        lastModifiedMs,
        headers: upload.headers,
        metadata: upload.metadata,
        checksum: joined.result(),
      });
      const checkedMeta = (): ObjectMeta => {
        const finished = meta();
        check(finished);
        return finished;
      };
      const chunks = this.readParts(upload, parts, joined.update);
      const written = await writeObjectFile(this.store.tmpDir, chunks, checkedMeta);
      await this.store.place(upload.bucket, upload.key, written, condition);
      await this.remove(upload);
      return written.meta;
    });
  }

  private async *readParts(
    upload: Upload,
    parts: readonly UploadPart[],
    update: (chunk: Uint8Array) => void,
  ): AsyncGenerator<Uint8Array> {
    for (const { partNumber } of parts) {
      const path = join(this.dirOf(upload.bucket, upload.id), nameOfPart(partNumber));
      const part = await openObjectFile(path);
      if (part === undefined) throw new AppError('corrupt.record', `${path} has vanished during its completion`);
      for await (const chunk of readChunks(part)) {
        update(chunk);
        yield chunk;
      }
    }
  }

  private async remove(upload: Upload): Promise<void> {
    const dir = this.dirOf(upload.bucket, upload.id);
    this.store.directories.forget(dir);
    // without its record an upload does not exist, whatever else a crash leaves of it
    await rm(join(dir, recordName), { force: true });
    await rm(dir, { recursive: true, force: true });
  }

  private dirOf(bucket: string, id: string): string {
    return join(this.store.uploadsDir, bucket, id);
  }
}

function checkParts(listed: readonly ListedPart[], stored: readonly UploadPart[]): readonly UploadPart[] {
  const byNumber = new Map(stored.map((part) => [part.partNumber, part]));
  const parts: UploadPart[] = [];
  for (const { partNumber, etag, checksums } of listed) {
    if (partNumber <= (parts.at(-1)?.partNumber ?? 0)) {
      throw new S3Error('InvalidPartOrder', 'the parts must be listed in ascending order');
    }
    const part = byNumber.get(partNumber);
    const checksum = part?.meta.checksum;
    const sent = checksum ? checksums.get(checksum.algorithm) : undefined;
    if (part === undefined || part.meta.etag !== etag || (sent !== undefined && sent !== checksum?.value)) {
      throw new S3Error('InvalidPart', 'a listed part was not uploaded or is another one', {
        PartNumber: String(partNumber),
        ETag: etag,
      });
    }
    parts.push(part);
  }
  if (parts.length === 0) throw new S3Error('MalformedXML', 'the list of parts is empty');
  const small = parts.slice(0, -1).find((part) => part.meta.bytes < minPartBytes);
  if (small !== undefined) {
    throw new S3Error('EntityTooSmall', 'every part but the last must have 5 MiB', {
      ProposedSize: String(small.meta.bytes),
      MinSizeAllowed: String(minPartBytes),
      PartNumber: String(small.partNumber),
    });
  }
  if (parts.reduce((sum, part) => sum + part.meta.bytes, 0) > maxObjectBytes) {
    throw new S3Error('EntityTooLarge', 'the object would be larger than 5 TiB');
  }
  return parts;
}

/** S3's form: md5 over the parts' md5s, and how many they were. */
function etagOfParts(parts: readonly UploadPart[]): string {
  const md5 = createHash('md5');
  for (const part of parts) md5.update(Buffer.from(part.meta.etag, 'hex'));
  return `${md5.digest('hex')}-${parts.length}`;
}

/** A checksum over the parts' checksums, or over all bytes, as the upload asked for. */
function joinChecksums(
  upload: Upload,
  parts: readonly UploadPart[],
): { readonly update: (chunk: Uint8Array) => void; readonly result: () => Checksum | null } {
  const algorithm = upload.checksumAlgorithm;
  if (algorithm === null) return { update: () => {}, result: () => null };
  const type = upload.checksumType ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE');
  const running: RunningChecksum = openChecksum(algorithm);
  if (type === 'FULL_OBJECT') {
    const result = (): Checksum => ({ algorithm, type, value: running.digest().toString('base64') });
    return { update: (chunk) => running.update(chunk), result };
  }
  const values = parts.map((part) => part.meta.checksum).filter((checksum) => checksum?.algorithm === algorithm);
  if (values.length < parts.length) return { update: () => {}, result: () => null };
  for (const checksum of values) running.update(Buffer.from(checksum?.value ?? '', 'base64'));
  const value = `${running.digest().toString('base64')}-${parts.length}`;
  return { update: () => {}, result: () => ({ algorithm, type, value }) };
}

function nameOfPart(partNumber: number): string {
  return String(partNumber).padStart(5, '0');
}

async function loadUpload(dir: string): Promise<Upload | undefined> {
  let json: string;
  try {
    json = await readFile(join(dir, recordName), 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  const upload = JSON.parse(json) as Upload;
  if (upload.version !== 1) throw new AppError('corrupt.version', `${dir} has version ${upload.version}, not 1`);
  return upload;
}

async function namesOf(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}
