import { describe, expect, it } from 'vitest';
import type { ObjectMeta } from '../../../../src/local/s3/object-file.ts';
import { RecentObjects } from '../../../../src/local/s3/recent-objects.ts';

const entryOf = (etag: string, bytes: number) => ({
  meta: { key: etag, bytes, etag, lastModifiedMs: 0, headers: {}, metadata: {}, checksum: null } satisfies ObjectMeta,
  body: Buffer.alloc(bytes, etag),
});
const kibibyte = 1024;

describe('RecentObjects', () => {
  it('gives back what was kept last, and nothing of what was forgotten', () => {
    const recent = new RecentObjects();
    recent.keep('a', entryOf('old', 3));
    recent.keep('a', entryOf('new', 5));
    expect(recent.find('a')).toEqual(entryOf('new', 5));
    recent.forget('a');
    recent.forget('a');
    expect(recent.find('a')).toBeUndefined();
  });

  it('stays below its size, and lets those go first that nobody asked for', () => {
    const recent = new RecentObjects();
    recent.keep('asked for', entryOf('first', 16 * kibibyte));
    for (let index = 0; index < 4_000; index++) {
      recent.keep(`${index}`, entryOf('later', 16 * kibibyte));
      recent.find('asked for');
    }
    const kept = Array.from({ length: 4_000 }, (_, index) => index).filter((index) => recent.find(`${index}`));
    expect(recent.find('asked for')?.meta.etag).toBe('first');
    expect(kept.length).toBeGreaterThan(1_800);
    expect(kept.length).toBeLessThan(2_048);
    expect(kept.at(-1)).toBe(3_999);
  });
});
