import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { AppError } from '../../base/errors.ts';
import type { Checksum } from './checksums.ts';

/**
 * One file per object: `<body><meta as JSON><footer>`, so that body and metadata appear and vanish in one rename, and a
 * range of the body is a range of the file. Footer, 16 bytes: "quireobj", uint32 BE version, uint32 BE bytes of the meta.
 */
export interface ObjectMeta {
  readonly key: string;
  readonly bytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  /** Headers that are given back as they came: content-type, cache-control, … */
  readonly headers: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly checksum: Checksum | null;
}

const magic = 'quireobj';
const version = 1;
const footerBytes = 16;
/** One read fetches footer and meta of all but the oddest objects: user metadata ends at 2 KiB. */
const tailGuessBytes = 4096;
const writeBufferBytes = 1024 * 1024;

export interface WrittenObject {
  readonly path: string;
  readonly meta: ObjectMeta;
  /** The body, where it was short enough to be written at once; else null. */
  readonly body: Uint8Array | null;
}

/**
 * Writes body and meta to a new file in `dir` and syncs it. `meta` is asked after the last chunk. On failure nothing is
 * left and the error comes out as it is.
 */
export async function writeObjectFile(
  dir: string,
  chunks: AsyncIterable<Uint8Array>,
  meta: () => ObjectMeta,
): Promise<WrittenObject> {
  const path = join(dir, randomBytes(16).toString('hex'));
  const file = await open(path, 'wx', 0o600);
  try {
    let pending: Uint8Array[] = [];
    let pendingBytes = 0;
    for await (const chunk of chunks) {
      pending.push(chunk);
      pendingBytes += chunk.byteLength;
      if (pendingBytes < writeBufferBytes) continue;
      await writeAll(file, Buffer.concat(pending));
      pending = [];
      pendingBytes = 0;
    }
    const finished = meta();
    const rest = Buffer.concat([...pending, encodeTail(finished)]);
    await writeAll(file, rest);
    await file.datasync();
    await file.close();
    return { path, meta: finished, body: pendingBytes === finished.bytes ? rest.subarray(0, pendingBytes) : null };
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(path, { force: true });
    throw error;
  }
}

export interface OpenObject {
  readonly meta: ObjectMeta;
  readonly file: FileHandle;
}

/** Undefined when there is no such file; the caller closes `file`. Throws `corrupt.record` naming the path. */
export async function openObjectFile(path: string): Promise<OpenObject | undefined> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    return { meta: await readMeta(file, path), file };
  } catch (error) {
    await file.close();
    throw error;
  }
}

export async function findObjectMeta(path: string): Promise<ObjectMeta | undefined> {
  const found = await openObjectFile(path);
  await found?.file.close();
  return found?.meta;
}

const smallBodyBytes = 64 * 1024;
const readBufferBytes = 256 * 1024;

/** The body's bytes `start` to `end`, at least one; the file is closed when they have been read or the stream is destroyed. */
export async function readBody(file: FileHandle, start: number, end: number): Promise<Buffer | Readable> {
  if (end - start > smallBodyBytes) {
    return file.createReadStream({ start, end: end - 1, highWaterMark: readBufferBytes });
  }
  try {
    const buffer = Buffer.alloc(end - start);
    await readFully(file, buffer, start);
    return buffer;
  } finally {
    await file.close();
  }
}

/** The whole body in pieces; closes the file when done or abandoned, once it was begun. */
export async function* readChunks({ file, meta }: OpenObject): AsyncGenerator<Uint8Array> {
  try {
    for (let position = 0; position < meta.bytes; ) {
      const buffer = Buffer.allocUnsafe(Math.min(meta.bytes - position, readBufferBytes));
      await readFully(file, buffer, position);
      yield buffer;
      position += buffer.byteLength;
    }
  } finally {
    await file.close();
  }
}

/** ENOENT, or a path through something that is no folder. */
export function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function encodeTail(meta: ObjectMeta): Buffer {
  const json = Buffer.from(JSON.stringify(meta));
  const footer = Buffer.alloc(footerBytes);
  footer.write(magic, 'latin1');
  footer.writeUInt32BE(version, 8);
  footer.writeUInt32BE(json.byteLength, 12);
  return Buffer.concat([json, footer]);
}

async function readMeta(file: FileHandle, path: string): Promise<ObjectMeta> {
  const { size } = await file.stat();
  const tail = await readTail(file, size, Math.min(size, tailGuessBytes));
  const footer = tail.subarray(-footerBytes);
  if (footer.byteLength < footerBytes || footer.toString('latin1', 0, 8) !== magic) {
    throw new AppError('corrupt.record', `${path} is no object file of quire`);
  }
  const found = footer.readUInt32BE(8);
  if (found !== version) {
    throw new AppError('corrupt.version', `${path} has version ${found}, this quire reads ${version}`);
  }
  const metaBytes = footer.readUInt32BE(12);
  const tailBytes = metaBytes + footerBytes;
  if (tailBytes > size) throw new AppError('corrupt.record', `${path} is shorter than its own metadata`);
  const whole = tailBytes <= tail.byteLength ? tail : await readTail(file, size, tailBytes);
  return parseMeta(
    whole.toString('utf8', whole.byteLength - tailBytes, whole.byteLength - footerBytes),
    size - tailBytes,
    path,
  );
}

function parseMeta(json: string, bodyBytes: number, path: string): ObjectMeta {
  let meta: ObjectMeta;
  try {
    meta = JSON.parse(json) as ObjectMeta;
  } catch (error) {
    throw new AppError('corrupt.record', `${path} has unreadable metadata`, { cause: error });
  }
  if (meta.bytes !== bodyBytes) {
    throw new AppError('corrupt.record', `${path} has a body of ${bodyBytes} bytes, its metadata says ${meta.bytes}`);
  }
  return meta;
}

async function readTail(file: FileHandle, fileBytes: number, tailBytes: number): Promise<Buffer> {
  const buffer = Buffer.alloc(tailBytes);
  await readFully(file, buffer, fileBytes - tailBytes);
  return buffer;
}

async function readFully(file: FileHandle, buffer: Buffer, position: number): Promise<void> {
  for (let filled = 0; filled < buffer.byteLength; ) {
    const { bytesRead } = await file.read(buffer, filled, buffer.byteLength - filled, position + filled);
    if (bytesRead === 0) throw new AppError('corrupt.record', 'an object file became shorter while it was read');
    filled += bytesRead;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.byteLength) {
    written += (await file.write(bytes, written)).bytesWritten;
  }
}
