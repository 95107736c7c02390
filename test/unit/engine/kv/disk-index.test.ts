import { describe, expect, it } from 'vitest';
import { DiskIndex } from '../../../../src/engine/kv/disk-index.ts';
import type { StoredPage } from '../../../../src/engine/kv/page-folder.ts';

const otherPage = (name: string, bytes: number): StoredPage => ({
  path: `/${name}`,
  digest: 'other',
  name,
  bytes,
  usedMs: 0,
});

/** Takes all out; names in the order in which they would be dropped. */
function drain(index: DiskIndex): readonly string[] {
  const names: string[] = [];
  for (let next = index.takeOldest(); next !== undefined; next = index.takeOldest()) {
    names.push(next.type === 'own' ? next.name : next.page.name);
  }
  return names;
}

describe('DiskIndex', () => {
  it('drops pages of other engines first, then own pages, each by last use', () => {
    const index = new DiskIndex(10);
    index.replace(['a', 'b', 'c'], [otherPage('x', 7), otherPage('y', 8)]);
    index.use('d');
    index.use('a');
    expect(index).toMatchObject({ pageTotal: 4, bytes: 55 });
    expect(drain(index)).toEqual(['x', 'y', 'b', 'c', 'd', 'a']);
    expect(index).toMatchObject({ pageTotal: 0, bytes: 0 });
  });

  it('tries what could not be dropped last, and counts it meanwhile', () => {
    const index = new DiskIndex(10);
    index.replace(['a', 'b'], [otherPage('x', 7), otherPage('y', 8)]);
    const x = index.takeOldest();
    expect(index.bytes).toBe(28);
    if (x !== undefined) index.putBack(x);
    expect(index.bytes).toBe(35);
    expect(index.takeOldest()).toMatchObject({ type: 'other', page: { name: 'y' } });
    expect(index.takeOldest()).toMatchObject({ type: 'other', page: { name: 'x' } });
    const a = index.takeOldest();
    if (a !== undefined) index.putBack(a);
    expect(index.has('a')).toBe(true);
    expect(drain(index)).toEqual(['b', 'a']);
  });

  it('forgets a page, and everything with a new listing', () => {
    const index = new DiskIndex(10);
    index.replace(['a', 'b'], [otherPage('x', 7)]);
    index.remove('a');
    index.remove('never there');
    expect([index.has('a'), index.has('b'), index.bytes]).toEqual([false, true, 17]);
    index.replace(['c'], []);
    expect(index.bytes).toBe(10);
    expect(drain(index)).toEqual(['c']);
  });
});
