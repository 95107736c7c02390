import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { invariant } from '../base/invariant.ts';

/** Results up to this size in all never touch the disk. */
const defaultMemoryBytes = 32 * 1024 * 1024;

interface Place {
  readonly start: number;
  readonly bytes: number;
}

/**
 * Turns results in unit order into results in line order, in bounded memory: bytes go in as units are read and come out
 * by line index. What does not fit in memory lies in a temporary file, which is removed on close.
 */
export class ResultSpool {
  readonly #memoryBytes: number;
  readonly #inMemory = new Map<number, Uint8Array>();
  readonly #onDisk = new Map<number, Place>();
  #usedBytes = 0;
  #endBytes = 0;
  #disk: Promise<{ readonly folder: string; readonly file: FileHandle }> | null = null;

  constructor(memoryBytes: number = defaultMemoryBytes) {
    this.#memoryBytes = memoryBytes;
  }

  async add(index: number, bytes: Uint8Array): Promise<void> {
    if (this.#usedBytes + bytes.length <= this.#memoryBytes) {
      this.#inMemory.set(index, bytes);
      this.#usedBytes += bytes.length;
      return;
    }
    this.#disk ??= openTemporary();
    const start = this.#endBytes;
    this.#endBytes += bytes.length;
    this.#onDisk.set(index, { start, bytes: bytes.length });
    const { file } = await this.#disk;
    await file.write(bytes, 0, bytes.length, start);
  }

  async read(index: number): Promise<Uint8Array> {
    const bytes = this.#inMemory.get(index);
    if (bytes !== undefined) return bytes;
    const place = this.#onDisk.get(index);
    invariant(place !== undefined && this.#disk !== null, `result of line ${index} was never spooled`);
    const { file } = await this.#disk;
    const buffer = Buffer.allocUnsafe(place.bytes);
    const { bytesRead } = await file.read(buffer, 0, place.bytes, place.start);
    invariant(bytesRead === place.bytes, `temporary file ended at ${bytesRead} of ${place.bytes} bytes`);
    return buffer;
  }

  async close(): Promise<void> {
    const disk = await this.#disk?.catch(() => null);
    if (disk === null || disk === undefined) return;
    await disk.file.close();
    await rm(disk.folder, { recursive: true, force: true });
  }
}

async function openTemporary(): Promise<{ readonly folder: string; readonly file: FileHandle }> {
  const folder = await mkdtemp(join(tmpdir(), 'quire-results-'));
  // results are their owner's business
  return { folder, file: await open(join(folder, 'spool'), 'w+', 0o600) };
}
