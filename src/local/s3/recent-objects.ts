import type { ObjectMeta } from './object-file.ts';

export interface RecentObject {
  readonly meta: ObjectMeta;
  /** null: too long to be kept. */
  readonly body: Buffer | null;
}

/** Records, markers and claims; results of lines are longer and read once. */
export const keptBodyBytes = 16 * 1024;
const maxBytes = 32 * 1024 * 1024;
/** What an entry costs beside its body, generously. */
const entryBytes = 1024;

/**
 * The objects written last, in memory: a small record that is asked for again and again needs no disk, whose threads are
 * busy with the syncs of others.
 *
 * M1  Only writers put something in, under the key's lock and after the rename: a slow reader cannot put an old object
 *     back.
 * M2  Before a file is replaced or removed by anything that does not put its successor in, its entry goes.
 */
export class RecentObjects {
  /** By path, those used last at the end. */
  readonly #entries = new Map<string, RecentObject>();
  #bytes = 0;

  find(path: string): RecentObject | undefined {
    const entry = this.#entries.get(path);
    if (entry === undefined) return undefined;
    this.#entries.delete(path);
    this.#entries.set(path, entry);
    return entry;
  }

  keep(path: string, entry: RecentObject): void {
    this.forget(path);
    this.#entries.set(path, entry);
    this.#bytes += sizeOf(entry);
    for (const [oldest] of this.#entries) {
      if (this.#bytes <= maxBytes) return;
      this.forget(oldest);
    }
  }

  forget(path: string): void {
    const entry = this.#entries.get(path);
    if (entry === undefined) return;
    this.#entries.delete(path);
    this.#bytes -= sizeOf(entry);
  }
}

const sizeOf = ({ body }: RecentObject): number => entryBytes + (body?.byteLength ?? 0);
