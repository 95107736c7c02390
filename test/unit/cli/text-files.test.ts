import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkTextFile, nameFiles } from '../../../src/cli/text-files.ts';
import { openTemporaryFolder } from '../../support/temporary-folder.ts';

const types = ['txt', 'md'];
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;

beforeAll(async () => {
  folder = await openTemporaryFolder('files');
});
afterAll(() => folder.remove());

async function check(name: string, body: string | Uint8Array): Promise<void> {
  const path = join(folder.path, name);
  await writeFile(path, body);
  await checkTextFile(path, types);
}

describe('checkTextFile', () => {
  it('takes UTF-8 text, with characters that lie across the borders of chunks', async () => {
    await check('lease.md', '# Lease\n');
    await check('NOTES', 'no extension\n');
    await check('wide.txt', `a${'€'.repeat(100_000)}`);
    await check('UPPER.MD', 'x');
  });

  it.each([
    [
      'lease.pdf',
      '%PDF',
      'input.media-type',
      /lease\.pdf is not a text file that can be read: allowed are \.txt, \.md$/,
    ],
    [
      'latin.txt',
      Buffer.from([0x63, 0x61, 0x66, 0xe9]),
      'input.encoding',
      /latin\.txt is not a text file: its bytes are no UTF-8/,
    ],
    ['cut.txt', Buffer.from('€').subarray(0, 2), 'input.encoding', /no UTF-8/],
    ['utf16.txt', Buffer.from('text', 'utf16le'), 'input.encoding', /byte 2 is zero; convert it to UTF-8/],
    ['empty.md', '', 'input.invalid-request', /empty\.md is empty$/],
  ])('refuses %s', async (name, body, code, message) => {
    await expect(check(name, body)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('finds a zero byte far into the file', async () => {
    const body = Buffer.alloc(200_000, 'a');
    body[150_000] = 0;
    await expect(check('late.txt', body)).rejects.toThrow('byte 150001 is zero');
  });

  it('says what is missing, and that a folder is none', async () => {
    await mkdir(join(folder.path, 'contracts'));
    await expect(checkTextFile(join(folder.path, 'contracts'), types)).rejects.toThrow(
      /is a folder; name the files in it/,
    );
    await expect(checkTextFile(join(folder.path, 'none.md'), types)).rejects.toMatchObject({
      code: 'input.not-found',
      message: expect.stringMatching(/^no such file: .*none\.md$/),
    });
  });
});

describe('nameFiles', () => {
  it('takes the short names where they differ, else the paths as typed', () => {
    expect(nameFiles(['a/lease.md', 'b/memo.md']).map(({ name }) => name)).toEqual(['lease.md', 'memo.md']);
    expect(nameFiles(['a/lease.md', './b/lease.md']).map(({ name }) => name)).toEqual(['a/lease.md', 'b/lease.md']);
  });

  it('refuses a file that is named twice', () => {
    expect(() => nameFiles(['a/lease.md', './a/lease.md'])).toThrow('a/lease.md is named twice');
  });
});
