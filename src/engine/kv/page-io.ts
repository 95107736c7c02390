import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { PageLatents } from '../ports.ts';
import { checkPagePayload, decodePageHead, encodePage, type PageIdentity, pageHeadBytes } from './page-file.ts';
import { isAbsent } from './page-folder.ts';
import { pageFloats } from './page-shape.ts';

/** Uses within one millisecond keep their order too; file systems tell 1 µs apart. */
const useStepMs = 0.002;
let lastUseMs = 0;

/**
 * The page of a file, which counts as used from now on. The payload is read into the array that is given back.
 * Throws what `decodePage` throws, and what the file system says.
 */
export async function readPageFile(path: string, identity: PageIdentity): Promise<PageLatents> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const head = await readUpTo(handle, new Uint8Array(pageHeadBytes(identity)));
    const payloadSha256 = decodePageHead(head, size, identity, path);
    const latents = new Float32Array(pageFloats(identity.shape));
    // a file that shrinks meanwhile leaves zeros, which have another sha256
    await readUpTo(handle, new Uint8Array(latents.buffer));
    checkPagePayload(latents, payloadSha256, path);
    await markUsed(handle);
    return latents;
  } finally {
    await handle.close();
  }
}

/** Writes a page's file, making its folder if need be; the array must not change meanwhile. */
export async function createPageFile(path: string, identity: PageIdentity, latents: PageLatents): Promise<void> {
  const parts = encodePage(identity, latents);
  const create = (): Promise<FileHandle> => open(path, 'w');
  const handle = await create().catch(async (error: unknown) => {
    if (!isAbsent(error)) throw error;
    await mkdir(dirname(path), { recursive: true });
    return create();
  });
  try {
    for (const part of parts) await handle.writeFile(part);
    await markUsed(handle);
  } finally {
    await handle.close();
  }
}

/** Fills the bytes from where the handle stands; what was filled, less at the end of the file. */
async function readUpTo(handle: FileHandle, bytes: Uint8Array): Promise<Uint8Array> {
  let filled = 0;
  while (filled < bytes.byteLength) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.byteLength - filled, null);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

/** Only the order of eviction hangs on it, and who may read a file need not own it: a refusal changes nothing else. */
async function markUsed(handle: FileHandle): Promise<void> {
  lastUseMs = Math.max(Date.now(), lastUseMs + useStepMs);
  await handle.utimes(lastUseMs / 1000, lastUseMs / 1000).catch(() => undefined);
}
