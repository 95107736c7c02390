import { randomBytes } from 'node:crypto';
import { readdir, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Where page files lie, shared by processes and by engines of different digests:
 *
 * `<folder>/<engine digest>/<first 2 hex of the name>/<name>.safetensors`
 * `…/<name>.<pid>-<token>-<number>.tmp` while it is written, by the process of that pid and token
 *
 * Everything else in the folder belongs to somebody else and is left alone.
 */

const hex64 = /^[0-9a-f]{64}$/;
const hex2 = /^[0-9a-f]{2}$/;
const fileEnding = '.safetensors';
const temporaryName = /^[0-9a-f]{64}\.(\d+)-([0-9a-f]{16})-\d+\.tmp$/;
/** Tells this process from an earlier one of the same pid: in a container every engine may be process 1. */
const processToken = randomBytes(8).toString('hex');
let temporaryTotal = 0;

/** Is it a lower-case hex sha256? Nothing else may become part of a path. */
export function isPageName(name: string): boolean {
  return hex64.test(name);
}

export function pagePath(folder: string, digest: string, name: string): string {
  return join(folder, digest, name.slice(0, 2), `${name}${fileEnding}`);
}

/** Beside the page's own path, so that renaming stays within one folder; never the same twice. */
export function temporaryPath(folder: string, digest: string, name: string): string {
  temporaryTotal++;
  return join(folder, digest, name.slice(0, 2), `${name}.${process.pid}-${processToken}-${temporaryTotal}.tmp`);
}

export interface StoredPage {
  readonly path: string;
  readonly digest: string;
  readonly name: string;
  readonly bytes: number;
  /** Of the last write or use. */
  readonly usedMs: number;
}

export interface FolderListing {
  /** Used longest ago first. */
  readonly pages: readonly StoredPage[];
  /** Temporary files whose writer is gone. */
  readonly leftovers: readonly string[];
}

/** Lists all pages of all digests. Files and folders that vanish meanwhile are left out; other errors are thrown. */
export async function listPageFolder(folder: string): Promise<FolderListing> {
  const pages: StoredPage[] = [];
  const leftovers: string[] = [];
  for (const digest of await entriesOf(folder, hex64)) {
    for (const start of await entriesOf(join(folder, digest), hex2)) {
      const inner = join(folder, digest, start);
      const files = await entriesOf(inner, /./);
      leftovers.push(...files.filter(isLeftover).map((file) => join(inner, file)));
      const found = await Promise.all(files.map((file) => findPage(inner, digest, file)));
      for (const page of found) if (page !== undefined) pages.push(page);
    }
  }
  pages.sort((left, right) => left.usedMs - right.usedMs || (left.path < right.path ? -1 : 1));
  return { pages, leftovers };
}

async function findPage(inner: string, digest: string, file: string): Promise<StoredPage | undefined> {
  const name = file.slice(0, -fileEnding.length);
  if (!file.endsWith(fileEnding) || !isPageName(name)) return undefined;
  const path = join(inner, file);
  const found = await orAbsent(stat(path), undefined);
  if (found === undefined || !found.isFile()) return undefined;
  return { path, digest, name, bytes: found.size, usedMs: found.mtimeMs };
}

async function entriesOf(path: string, pattern: RegExp): Promise<readonly string[]> {
  const entries = await orAbsent(readdir(path), []);
  return entries.filter((entry) => pattern.test(entry));
}

/** `absent` in place of an error that says that there is nothing (of that kind) at the path. */
async function orAbsent<Value>(reading: Promise<Value>, absent: Value): Promise<Value> {
  try {
    return await reading;
  } catch (error) {
    if (isAbsent(error)) return absent;
    throw error;
  }
}

/** Removes a file; one that is not there counts as removed. */
export async function removeFile(path: string): Promise<void> {
  await orAbsent(unlink(path), undefined);
}

/** Did the operating system refuse a call? Everything else that is thrown is a mistake of ours. */
export function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

/** Does the error say that the file is not there? */
export function isAbsent(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** Does the error say that there is no room, on the disk or in what the user may take of it? */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown };
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function isLeftover(file: string): boolean {
  const [, pid, token] = temporaryName.exec(file) ?? [];
  if (pid === undefined) return false;
  return Number(pid) === process.pid ? token !== processToken : !isAlive(Number(pid));
}

/** A process that may not be signalled is alive too. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { readonly code?: unknown }).code === 'EPERM';
  }
}
