import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findObjectMeta,
  type ObjectMeta,
  openObjectFile,
  readBody,
  readChunks,
  writeObjectFile,
} from '../../../../src/local/s3/object-file.ts';
import { openTemporaryFolder } from '../../../support/temporary-folder.ts';

const metaOf = (bytes: number, metadata: Record<string, string> = {}): ObjectMeta => ({
  key: 'a/b',
  bytes,
  etag: 'e',
  lastModifiedMs: 5,
  headers: { 'content-type': 'text/plain' },
  metadata,
  checksum: null,
});

describe('object file', () => {
  let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
  beforeEach(async () => {
    folder = await openTemporaryFolder('object-file');
  });
  afterEach(() => folder.remove());

  const write = (pieces: readonly Uint8Array[], meta: ObjectMeta): Promise<{ readonly path: string }> =>
    writeObjectFile(folder.path, Readable.from(pieces), () => meta);

  it('gives back body and metadata of every length', async () => {
    for (const bytes of [0, 1, 4000, 70_000, 3 * 1024 * 1024 + 1]) {
      const body = Buffer.alloc(bytes, 'xyz');
      const meta = metaOf(bytes, { long: 'm'.repeat(bytes % 5000) });
      const { path } = await write(
        Array.from({ length: Math.ceil(bytes / 100_000) }, (_, index) =>
          body.subarray(index * 100_000, (index + 1) * 100_000),
        ),
        meta,
      );
      expect(await findObjectMeta(path)).toEqual(meta);
      const opened = await openObjectFile(path);
      const pieces: Uint8Array[] = [];
      if (opened !== undefined) for await (const piece of readChunks(opened)) pieces.push(piece);
      expect(Buffer.concat(pieces).equals(body)).toBe(true);
    }
  });

  it('reads ranges, short ones at once and long ones as a stream', async () => {
    const body = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));
    const { path } = await write([body], metaOf(body.byteLength));
    for (const [start, end] of [
      [0, 1],
      [10, 65_000],
      [1000, 199_999],
      [0, 200_000],
    ] as const) {
      const opened = await openObjectFile(path);
      const read = opened === undefined ? Buffer.alloc(0) : await readBody(opened.file, start, end);
      const bytes = read instanceof Readable ? await buffer(read) : read;
      expect(bytes.equals(body.subarray(start, end))).toBe(true);
    }
  });

  it('is absent when there is no file, or a file where a folder should be', async () => {
    const { path } = await write([], metaOf(0));
    expect(await findObjectMeta(join(folder.path, 'none'))).toBeUndefined();
    expect(await findObjectMeta(join(path, 'below'))).toBeUndefined();
  });

  it('leaves nothing when the body or its check fails', async () => {
    const broken = async function* (): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10);
      throw new Error('broke');
    };
    await expect(writeObjectFile(folder.path, broken(), () => metaOf(10))).rejects.toThrow('broke');
    const refuse = (): ObjectMeta => {
      throw new Error('wrong digest');
    };
    await expect(writeObjectFile(folder.path, Readable.from([Buffer.alloc(3)]), refuse)).rejects.toThrow(
      'wrong digest',
    );
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('rejects every truncation and every flipped byte of what is behind the body', async () => {
    const { path } = await write([Buffer.from('body')], metaOf(4));
    const whole = await readFile(path);
    const changed = join(folder.path, 'changed');
    for (let bytes = 0; bytes < whole.byteLength; bytes += 1) {
      await writeFile(changed, whole.subarray(0, bytes));
      await expect(findObjectMeta(changed), `${bytes} bytes`).rejects.toMatchObject({ family: 'corrupt' });
    }
    const footerStart = whole.byteLength - 16;
    for (let at = footerStart; at < whole.byteLength; at += 1) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ 0x41;
      await writeFile(changed, flipped);
      await expect(findObjectMeta(changed), `byte ${at - footerStart}`).rejects.toMatchObject({ family: 'corrupt' });
    }
    await writeFile(changed, Buffer.concat([Buffer.from('more'), whole]));
    await expect(findObjectMeta(changed)).rejects.toThrow('its metadata says 4');
  });

  it('refuses a version it does not know by name', async () => {
    const { path } = await write([], metaOf(0));
    const whole = await readFile(path);
    whole.writeUInt32BE(2, whole.byteLength - 8);
    await writeFile(path, whole);
    await expect(findObjectMeta(path)).rejects.toMatchObject({ code: 'corrupt.version' });
  });
});
