import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DirectorySync } from '../../../../src/local/s3/directory-sync.ts';
import { KeyLock } from '../../../../src/local/s3/key-lock.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';

describe('KeyLock', () => {
  it('runs work of one key in order and one at a time, of other keys at once', async () => {
    const lock = new KeyLock();
    const events: string[] = [];
    let release = (): void => {};
    const gate = new Promise<void>((open) => {
      release = open;
    });
    const first = lock.run('a', async () => {
      events.push('a1 begins');
      await gate;
      events.push('a1 ends');
    });
    const second = lock.run('a', async () => {
      events.push('a2');
    });
    await lock.run('b', async () => {
      events.push('b');
    });
    release();
    await Promise.all([first, second]);
    expect(events).toEqual(['a1 begins', 'b', 'a1 ends', 'a2']);
  });

  it('goes on after work that failed, and hands its error to its caller alone', async () => {
    const lock = new KeyLock();
    const failing = lock.run('a', () => Promise.reject(new Error('failed')));
    const following = lock.run('a', async () => 'done');
    await expect(failing).rejects.toThrow('failed');
    expect(await following).toBe('done');
  });
});

describe('DirectorySync', () => {
  it('syncs folders that are there and those that were removed meanwhile', async () => {
    const folder = await openTemporaryFolder('sync');
    const sync = new DirectorySync(folder.path);
    const deep = join(folder.path, 'a', 'b', 'c');
    await mkdir(deep, { recursive: true });
    await Promise.all(Array.from({ length: 20 }, () => sync.syncAdded(deep)));
    await sync.syncAdded(folder.path);
    await sync.syncRemoved(join(folder.path, 'gone', 'long', 'ago'));
    await folder.remove();
  });
});
