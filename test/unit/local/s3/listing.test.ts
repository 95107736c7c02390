import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { placeOfKey } from '../../../../src/local/s3/key-path.ts';
import { KeyList, KeyWalk, MergedKeys } from '../../../../src/local/s3/key-walk.ts';
import {
  decodeToken,
  encodeToken,
  type ListingQuery,
  type ListingStart,
  readKeyPage,
} from '../../../../src/local/s3/listing.ts';
import { compareKeys } from '../../../../src/storage/key-order.contract.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';

const segment = fc.constantFrom('a', 'b', 'ab', 'a-', 'a.', '', '.', 'é', '\u{1f5c2}', '\uff5e', 'Z');
const keyText = fc
  .array(segment, { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join('/'))
  .filter((text) => text !== '');
const prefixText = fc.oneof(
  fc.constant(''),
  keyText,
  segment,
  keyText.map((text) => `${text}/`),
);

interface Entries {
  readonly keys: readonly string[];
  readonly folders: readonly string[];
}

/** The definition, over a sorted array. */
function expectedEntries(keys: readonly string[], { prefix, delimiter }: ListingQuery, after: string): Entries {
  const wanted = [...new Set(keys)]
    .sort(compareKeys)
    .filter((key) => key.startsWith(prefix) && compareKeys(key, after) > 0);
  const folderOf = (key: string): string | undefined => {
    const end = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    return end === -1 ? undefined : key.slice(0, end + delimiter.length);
  };
  const folders = wanted.map(folderOf).filter((folder) => folder !== undefined);
  return { keys: wanted.filter((key) => folderOf(key) === undefined), folders: [...new Set(folders)] };
}

describe('listing of a bucket folder', () => {
  let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
  beforeEach(async () => {
    folder = await openTemporaryFolder('listing');
  });
  afterEach(() => folder.remove());

  const fill = async (keys: readonly string[]): Promise<void> => {
    await rm(folder.path, { recursive: true, force: true });
    for (const key of keys) {
      const path = join(folder.path, placeOfKey(key).path);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, '');
    }
  };

  const listAll = async (query: ListingQuery, after: string, long: readonly string[] = []): Promise<Entries> => {
    const keys: string[] = [];
    const folders: string[] = [];
    let start: ListingStart | null = { after, skipFolder: null };
    while (start !== null) {
      const from: string = start.after;
      const rest = long.filter((key) => key.startsWith(query.prefix) && compareKeys(key, from) > 0).sort(compareKeys);
      const cursor = new MergedKeys([new KeyWalk(folder.path, query.prefix, from), new KeyList(rest)]);
      const page = await readKeyPage(cursor, query, start);
      expect(page.keys.length + page.folders.length).toBeLessThanOrEqual(query.maxKeys);
      keys.push(...page.keys);
      folders.push(...page.folders);
      // what travels to the client and back
      start = page.next === null ? null : decodeToken(encodeToken(page.next));
    }
    return { keys, folders };
  };

  it('equals the definition for any keys, prefix, delimiter, start and page length', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(keyText, { maxLength: 14 }),
        fc.record({
          prefix: prefixText,
          delimiter: fc.constantFrom('', '/', 'a', '/a'),
          maxKeys: fc.integer({ min: 1, max: 5 }),
        }),
        fc.oneof(fc.constant(''), keyText),
        async (keys, query, after) => {
          await fill(keys);
          expect(await listAll(query, after)).toEqual(expectedEntries(keys, query, after));
        },
      ),
      { numRuns: 150 },
    );
  });

  it('merges keys that have no path of their own', async () => {
    const long = [`a/${'x'.repeat(300)}`, `b${'y'.repeat(300)}`, `${'z/'.repeat(500)}`, '文'.repeat(200)];
    const short = ['a/b', 'a/y', 'b', 'c/d', 'z/1'];
    await fill(short);
    for (const delimiter of ['', '/']) {
      const query = { prefix: '', delimiter, maxKeys: 2 };
      expect(await listAll(query, '', long)).toEqual(expectedEntries([...short, ...long], query, ''));
    }
  });

  it('leaves out files that are not ours and folders without objects', async () => {
    await fill(['a/b', 'c']);
    await writeFile(join(folder.path, 'keys', '.DS_Store'), '');
    await writeFile(join(folder.path, 'keys', 'a', 'Notes.txt'), '');
    await mkdir(join(folder.path, 'keys', 'empty', 'deep'), { recursive: true });
    const query = { prefix: '', delimiter: '/', maxKeys: 10 };
    expect(await listAll(query, '')).toEqual({ keys: ['c'], folders: ['a/'] });
  });

  it('is empty for a bucket that has no folder yet, and for no keys asked', async () => {
    expect(await listAll({ prefix: 'a/b', delimiter: '', maxKeys: 10 }, '')).toEqual({ keys: [], folders: [] });
    const none = await readKeyPage(
      new KeyList(['a']),
      { prefix: '', delimiter: '', maxKeys: 0 },
      { after: '', skipFolder: null },
    );
    expect(none).toEqual({ keys: [], folders: [], next: null });
  });
});

describe('decodeToken', () => {
  it('rejects what is no token', () => {
    for (const token of [
      'x',
      'bm9uZQ',
      Buffer.from('[1,null]').toString('base64url'),
      Buffer.from('["a"]').toString('base64url'),
    ]) {
      expect(() => decodeToken(token), token).toThrow(expect.objectContaining({ code: 'InvalidArgument' }));
    }
  });
});
