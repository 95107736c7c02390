import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockDataFolder } from '../../../src/local/data-folder.ts';
import { findProcessIdentity } from '../../../src/local/process-identity.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let dir: string;

beforeEach(async () => {
  folder = await openTemporaryFolder('lock');
  dir = join(folder.path, 'data');
});

afterEach(() => folder.remove());

const me = findProcessIdentity(process.pid);

/** As an earlier start left it. */
function leaveLock(owner: unknown, state = 'held', generation = 1): string {
  mkdirSync(join(dir, 'lock'), { recursive: true });
  const path = join(dir, 'lock', String(generation).padStart(12, '0'));
  writeFileSync(path, JSON.stringify({ version: 1, state, owner }));
  return path;
}

describe('lockDataFolder', () => {
  it('creates the folder for its owner alone', () => {
    const lock = lockDataFolder(dir);
    expect(lock.dir).toBe(dir);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    lock.release();
  });

  it('rejects a second start, naming the process that has the folder', () => {
    const lock = lockDataFolder(dir);
    expect(() => lockDataFolder(dir)).toThrow(
      expect.objectContaining({
        code: 'input.data-folder-locked',
        message: expect.stringContaining(`process ${process.pid}`),
        details: { pid: process.pid, dataDir: dir },
      }),
    );
    lock.release();
  });

  it('can be taken again after release, any number of times, and keeps one file', () => {
    for (let round = 0; round < 5; round += 1) {
      const lock = lockDataFolder(dir);
      lock.release();
      lock.release();
    }
    expect(readdirSync(join(dir, 'lock'))).toEqual(['000000000005']);
  });

  it('takes over from a dead process', () => {
    // beyond the largest process number any system gives
    leaveLock({ ...me, pid: 2 ** 30 });
    const lock = lockDataFolder(dir);
    expect(readdirSync(join(dir, 'lock'))).toEqual(['000000000002']);
    lock.release();
  });

  it('takes over when the number was given to another process meanwhile', () => {
    leaveLock({ ...me, startedAt: '1' });
    lockDataFolder(dir).release();
  });

  it('leaves a folder to an owner it cannot look up, while that one keeps touching its file', () => {
    const path = leaveLock({ pid: 1, startedAt: '1', world: 'another boot, another namespace' });
    expect(() => lockDataFolder(dir)).toThrow(expect.objectContaining({ code: 'input.data-folder-locked' }));
    const longAgo = new Date(Date.now() - 16_000);
    utimesSync(path, longAgo, longAgo);
    lockDataFolder(dir).release();
  });

  it('believes the highest generation, whatever lower ones say', () => {
    leaveLock({ ...me, pid: 2 ** 30 }, 'held', 1);
    leaveLock(me, 'held', 9);
    expect(() => lockDataFolder(dir)).toThrow(expect.objectContaining({ code: 'input.data-folder-locked' }));
    expect(existsSync(join(dir, 'lock', '000000000009'))).toBe(true);
  });

  it('rejects a lock it cannot read, and a folder it cannot use', () => {
    leaveLock('nobody');
    expect(() => lockDataFolder(dir)).toThrow(expect.objectContaining({ code: 'corrupt.record' }));
    const file = join(folder.path, 'file');
    writeFileSync(file, '');
    expect(() => lockDataFolder(file)).toThrow(expect.objectContaining({ code: 'input.config' }));
  });

  it('survives the removal of the folder while it is held', async () => {
    const lock = lockDataFolder(dir);
    await folder.remove();
    expect(() => lock.release()).not.toThrow();
  });
});
