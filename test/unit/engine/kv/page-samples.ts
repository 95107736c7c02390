import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pageFileBytes } from '../../../../src/engine/kv/page-file.ts';

/** The smallest shape: a page of 1,024 bytes. */
export const tinyShape = { layers: 1, latentWidth: 1 };

/** A sha256, as names and digests are. */
export const hexOf = (label: string | number): string => createHash('sha256').update(`sample ${label}`).digest('hex');

export const tinyFileBytes = pageFileBytes({ name: hexOf(0), shape: tinyShape });

export const tinyPage = (label: number): Float32Array =>
  Float32Array.from({ length: 256 }, (_, index) => label + index / 4096);

/** Paths of all files below a folder, relative to it, in order. */
export async function filesBelow(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true });
  const kinds = await Promise.all(entries.map((entry) => stat(join(folder, entry))));
  return entries.filter((_, index) => kinds[index]?.isFile()).sort();
}

export async function bytesBelow(folder: string): Promise<number> {
  const files = await filesBelow(folder);
  const all = await Promise.all(files.map((file) => stat(join(folder, file))));
  return all.reduce((sum, { size }) => sum + size, 0);
}

/** A promise and its end. */
export function openGate(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
