import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { compareKeys } from '../../storage/key-order.contract.ts';
import { decodeName, folderOfPrefix } from './key-path.ts';
import { isMissing } from './object-file.ts';

/** Keys in UTF-8 byte order. */
export interface KeyCursor {
  next(): Promise<string | undefined>;
  /** Leaves out all following keys that start with `prefix`. */
  skip(prefix: string): void;
}

interface Entry {
  /** Whole key of a file; of a folder, what its keys start with, ending in `/`. */
  readonly key: string;
  readonly name: string;
  readonly isFolder: boolean;
}

interface Frame {
  readonly dir: string;
  readonly prefix: string;
  readonly entries: readonly Entry[];
  index: number;
}

/** Walks the folders of a bucket that can hold keys with `prefix` after `after`, reading each when it is reached. */
export class KeyWalk implements KeyCursor {
  private readonly bucketDir: string;
  private readonly prefix: string;
  private readonly after: string;
  private readonly frames: Frame[] = [];
  private hasStarted = false;

  constructor(bucketDir: string, prefix: string, after: string) {
    this.bucketDir = bucketDir;
    this.prefix = prefix;
    this.after = after;
  }

  async next(): Promise<string | undefined> {
    if (!this.hasStarted) await this.start();
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      const entry = frame.entries[frame.index];
      frame.index += 1;
      if (entry === undefined) this.frames.pop();
      else if (entry.isFolder) await this.enter(join(frame.dir, entry.name), entry.key);
      else return entry.key;
    }
    return undefined;
  }

  skip(prefix: string): void {
    for (let frame = this.frames.at(-1); frame !== undefined; frame = this.frames.at(-1)) {
      if (frame.prefix.startsWith(prefix)) {
        this.frames.pop();
        continue;
      }
      while (frame.entries[frame.index]?.key.startsWith(prefix) === true) frame.index += 1;
      return;
    }
  }

  private async start(): Promise<void> {
    this.hasStarted = true;
    const folder = folderOfPrefix(this.prefix);
    if (folder === undefined) return;
    await this.enter(join(this.bucketDir, folder), this.prefix.slice(0, this.prefix.lastIndexOf('/') + 1));
  }

  private async enter(dir: string, prefix: string): Promise<void> {
    const entries = (await namesOf(dir))
      .flatMap((name) => toEntry(name, prefix))
      .filter((entry) => this.isWanted(entry))
      .sort((a, b) => compareKeys(a.key, b.key));
    this.frames.push({ dir, prefix, entries, index: 0 });
  }

  private isWanted({ key, isFolder }: Entry): boolean {
    if (!key.startsWith(this.prefix) && !(isFolder && this.prefix.startsWith(key))) return false;
    return compareKeys(key, this.after) > 0 || (isFolder && this.after.startsWith(key));
  }
}

/** A sorted list as a cursor: the keys that have no path. */
export class KeyList implements KeyCursor {
  private readonly keys: readonly string[];
  private index = 0;

  constructor(keys: readonly string[]) {
    this.keys = keys;
  }

  async next(): Promise<string | undefined> {
    const key = this.keys[this.index];
    this.index += 1;
    return key;
  }

  skip(prefix: string): void {
    while (this.keys[this.index]?.startsWith(prefix) === true) this.index += 1;
  }
}

/** Two cursors as one. */
export class MergedKeys implements KeyCursor {
  private readonly cursors: readonly KeyCursor[];
  private readonly heads: (string | undefined)[] = [];

  constructor(cursors: readonly KeyCursor[]) {
    this.cursors = cursors;
  }

  async next(): Promise<string | undefined> {
    let first: number | undefined;
    for (const [index, cursor] of this.cursors.entries()) {
      this.heads[index] ??= await cursor.next();
      const head = this.heads[index];
      const best = first === undefined ? undefined : this.heads[first];
      if (head !== undefined && (best === undefined || compareKeys(head, best) < 0)) first = index;
    }
    if (first === undefined) return undefined;
    const key = this.heads[first];
    this.heads[first] = undefined;
    return key;
  }

  skip(prefix: string): void {
    for (const [index, cursor] of this.cursors.entries()) {
      const head = this.heads[index];
      if (head !== undefined && !head.startsWith(prefix)) continue;
      this.heads[index] = undefined;
      cursor.skip(prefix);
    }
  }
}

function toEntry(name: string, prefix: string): readonly Entry[] {
  const decoded = decodeName(name);
  if (decoded === undefined) return [];
  const isFolder = decoded.type === 'folder';
  return [{ key: `${prefix}${decoded.segment}${isFolder ? '/' : ''}`, name, isFolder }];
}

async function namesOf(dir: string): Promise<readonly string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    // removed between the listing of its parent and now
    if (isMissing(error)) return [];
    throw error;
  }
}
