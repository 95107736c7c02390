import { open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isMissing } from './object-file.ts';

/** How many folders are remembered as durable before all are forgotten: about 20 MB. */
const maxRemembered = 50_000;

/**
 * Makes renames and removals durable. Requests for one folder that come while it is being synced share the next sync, so
 * 50 writers of one folder cost two syncs and not 50.
 */
export class DirectorySync {
  private readonly root: string;
  private readonly running = new Map<string, Promise<void>>();
  private readonly waiting = new Map<string, Promise<void>>();
  private readonly durable = new Set<string>();

  /** Folders above `root` are somebody else's. */
  constructor(root: string) {
    this.root = root;
  }

  /** Makes what was put into `dir` durable, and `dir` itself up to the root. It must not be removed meanwhile. */
  async syncAdded(dir: string): Promise<void> {
    const fresh: string[] = [];
    for (let child = dir; child !== this.root && !this.durable.has(child); child = dirname(child)) fresh.push(child);
    await Promise.all([dir, ...fresh.map((child) => dirname(child))].map((each) => this.syncOne(each)));
    if (this.durable.size > maxRemembered) this.durable.clear();
    for (const child of fresh) this.durable.add(child);
  }

  /** Makes the removal of an entry of `dir` durable, even if `dir` is gone itself by now. */
  async syncRemoved(dir: string): Promise<void> {
    await this.syncOne(dir);
  }

  /** Must be called before a folder is removed: one made again under its name is a new one. */
  forget(dir: string): void {
    this.durable.delete(dir);
  }

  private syncOne(dir: string): Promise<void> {
    const waiting = this.waiting.get(dir);
    if (waiting !== undefined) return waiting;
    const running = this.running.get(dir);
    if (running === undefined) return this.start(dir);
    const startNext = (): Promise<void> => {
      this.waiting.delete(dir);
      return this.start(dir);
    };
    const next = running.then(startNext, startNext);
    this.waiting.set(dir, next);
    return next;
  }

  private start(dir: string): Promise<void> {
    const done = syncFolder(dir).finally(() => {
      if (this.running.get(dir) === done) this.running.delete(dir);
    });
    this.running.set(dir, done);
    return done;
  }
}

/** A folder that is gone was removed by a delete; its parent's entries then tell about it. */
async function syncFolder(dir: string): Promise<void> {
  try {
    const folder = await open(dir, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    if (!isMissing(error) || dirname(dir) === dir) throw error;
    await syncFolder(dirname(dir));
  }
}
