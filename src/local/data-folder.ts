/**
 * One quire per data folder: the lock.
 *
 * Node has no flock, so the lock is a row of create-once files `lock/<generation>`; the highest generation is the truth.
 * L1  A starter may create generation n+1 only after it saw that the owner of n released it or is dead. The file appears
 *     whole (hard link from a finished one), so of many starters exactly one gets n+1 and the others read its owner.
 * L2  The highest generation is never deleted: releasing replaces it by a tombstone. So numbers only grow.
 * L3  A winner deletes lower generations only after its own exists. A starter so slow that "its" n+1 was created,
 *     released and deleted meanwhile therefore finds a higher generation when it looks again, and gives way.
 * An owner of another pid namespace or boot (a container sharing the folder) cannot be looked up by number; it counts as
 * alive while it keeps touching its file.
 */
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { AppError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import { loadJson } from './private-file.ts';
import {
  currentWorld,
  findProcessIdentity,
  isAlive,
  type ProcessIdentity,
  parseProcessIdentity,
} from './process-identity.ts';

const touchEveryMs = 5_000;
/** Three missed touches: one may be late on a busy disk. */
const foreignOwnerDeadAfterMs = 3 * touchEveryMs;
/** Every lost try means that another starter won in between; more than a few at once are not starters any more. */
const maxTries = 100;

export interface DataFolderLock {
  /** Absolute path. */
  readonly dir: string;
  /** May be called more than once. */
  release(): void;
}

/** One level at a time: Node's own recursion never ends where a folder exists that takes no folders, as in /proc. */
function makeFolders(dir: string): void {
  if (existsSync(dir)) return;
  makeFolders(dirname(dir));
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Creates the folder if need be and takes it for this process until `release()` or the process's end.
 * @throws `input.data-folder-locked` naming the pid that has it; `input.config` when the folder cannot be used
 */
export function lockDataFolder(dir: string): DataFolderLock {
  const absolute = resolve(dir);
  const lockDir = join(absolute, 'lock');
  try {
    makeFolders(lockDir);
  } catch (error) {
    throw new AppError('input.config', `cannot use data folder ${absolute}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  for (let tries = 0; tries < maxTries; tries += 1) {
    const generation = tryTake(absolute, lockDir);
    if (generation !== undefined) return hold(absolute, lockDir, generation);
  }
  throw new AppError('input.data-folder-locked', `data folder ${absolute} is being taken by too many starts at once`);
}

/** The generation won; undefined when another starter was faster and the state must be read again. */
function tryTake(dir: string, lockDir: string): number | undefined {
  const latest = generationsOf(lockDir).at(-1);
  if (latest !== undefined && !refuseIfHeld(dir, pathOf(lockDir, latest))) return undefined;
  const mine = (latest ?? 0) + 1;
  const path = pathOf(lockDir, mine);
  const beside = join(lockDir, `new-${process.pid}-${randomBytes(8).toString('hex')}`);
  writeFileSync(beside, recordOf('held'), { mode: 0o600, flag: 'wx' });
  try {
    linkSync(beside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw error;
  } finally {
    rmSync(beside, { force: true });
  }
  const others = generationsOf(lockDir);
  if (others.some((generation) => generation > mine)) {
    rmSync(path, { force: true });
    return undefined;
  }
  for (const generation of others) if (generation < mine) rmSync(pathOf(lockDir, generation), { force: true });
  return mine;
}

/** Throws when the owner lives; false when the file vanished (a higher generation exists by now); true when it is free. */
function refuseIfHeld(dir: string, path: string): boolean {
  const record = loadJson(path);
  if (record === undefined) return false;
  const { state, owner: ownerValue } = record as { readonly state?: unknown; readonly owner?: unknown };
  const owner = parseProcessIdentity(ownerValue);
  if (owner === undefined || (state !== 'held' && state !== 'released')) {
    throw new AppError('corrupt.record', `${path} is not a lock of this version of quire`);
  }
  if (state === 'released' || !lives(owner, path)) return true;
  const message = `data folder ${dir} is in use by another quire, process ${owner.pid}; stop it or choose another folder`;
  throw new AppError('input.data-folder-locked', message, { details: { pid: owner.pid, dataDir: dir } });
}

function lives(owner: ProcessIdentity, path: string): boolean {
  if (owner.world === currentWorld()) return isAlive(owner);
  const touchedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - touchedMs < foreignOwnerDeadAfterMs;
}

function hold(dir: string, lockDir: string, generation: number): DataFolderLock {
  const path = pathOf(lockDir, generation);
  const touch = setInterval(() => {
    const now = new Date();
    try {
      utimesSync(path, now, now);
    } catch {
      // the folder was removed under us; its other users report that with more to say
    }
  }, touchEveryMs);
  touch.unref();
  let held = true;
  return {
    dir,
    release: () => {
      if (!held) return;
      held = false;
      clearInterval(touch);
      try {
        const tombstone = join(lockDir, `new-${process.pid}-released`);
        writeFileSync(tombstone, recordOf('released'), { mode: 0o600 });
        renameSync(tombstone, path);
      } catch (error) {
        // a folder removed on purpose (a test's) needs no tombstone
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    },
  };
}

function recordOf(state: 'held' | 'released'): string {
  const owner = findProcessIdentity(process.pid);
  invariant(owner !== undefined, 'a running process finds itself');
  return JSON.stringify({ version: 1, state, owner });
}

function generationsOf(lockDir: string): readonly number[] {
  return readdirSync(lockDir)
    .filter((name) => /^\d{12}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

function pathOf(lockDir: string, generation: number): string {
  return join(lockDir, String(generation).padStart(12, '0'));
}
