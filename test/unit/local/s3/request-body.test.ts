import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { openRequestBody, type RequestBody } from '../../../../src/local/s3/request-body.ts';
import type { Payload } from '../../../../src/local/s3/signature.ts';

const unsigned: Payload = { type: 'unsigned' };
const chunked: Payload = { type: 'chunked', hasTrailer: true, signing: null };

function open(
  body: string,
  headers: Record<string, string>,
  payload: Payload = unsigned,
  maxBytes = 1000,
): RequestBody {
  const raw = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from(body);
  };
  return openRequestBody({ raw: raw(), header: (name) => headers[name], payload, maxBytes });
}

const read = (body: string, headers: Record<string, string>, payload?: Payload): Promise<string> =>
  open(body, headers, payload).text(1000);

describe('openRequestBody', () => {
  const hex = createHash('sha256').update('hello').digest('hex');
  const md5 = createHash('md5').update('hello').digest('base64');

  it('verifies length, sha256, md5 and checksum', async () => {
    const headers = { 'content-length': '5', 'content-md5': md5, 'x-amz-checksum-crc32': 'NhCmhg==' };
    const body = open('hello', headers, { type: 'sha256', hex });
    expect(await body.text(1000)).toBe('hello');
    expect(body.digests()).toEqual({
      bytes: 5,
      md5: createHash('md5').update('hello').digest('hex'),
      checksum: { algorithm: 'CRC32', value: 'NhCmhg==', type: 'FULL_OBJECT' },
    });
  });

  it('rejects each digest that is not the body’s', async () => {
    const length = { 'content-length': '5' };
    const cases = [
      [{ ...length, 'content-md5': createHash('md5').digest('base64') }, unsigned, 'BadDigest'],
      [{ ...length, 'x-amz-checksum-crc32c': 'AAAAAA==' }, unsigned, 'BadDigest'],
      [{ ...length, 'x-amz-checksum-sha256': hex }, unsigned, 'BadDigest'],
      [length, { type: 'sha256', hex: '0'.repeat(64) }, 'XAmzContentSHA256Mismatch'],
      [{ 'content-length': '6' }, unsigned, 'IncompleteBody'],
      [{ 'content-length': '4' }, unsigned, 'IncompleteBody'],
    ] as const;
    for (const [headers, payload, code] of cases) {
      await expect(read('hello', headers, payload)).rejects.toMatchObject({ code });
    }
  });

  it('verifies a checksum that comes as a trailer', async () => {
    const headers = { 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' };
    const good = '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n';
    expect(await read(good, headers, chunked)).toBe('hello');
    await expect(read(good.replace('NhCmhg==', 'NhCmhA=='), headers, chunked)).rejects.toMatchObject({
      code: 'BadDigest',
    });
    await expect(read('5\r\nhello\r\n0\r\n\r\n', headers, chunked)).rejects.toMatchObject({ code: 'InvalidRequest' });
    const short = { ...headers, 'x-amz-decoded-content-length': '4' };
    await expect(read(good, short, chunked)).rejects.toMatchObject({ code: 'IncompleteBody' });
  });

  it('rejects headers that contradict each other before a byte is read', () => {
    const cases = [
      [{ 'transfer-encoding': 'chunked' }, unsigned, 'MissingContentLength'],
      [{ 'content-length': '5' }, chunked, 'MissingContentLength'],
      [{ 'content-length': 'many' }, unsigned, 'InvalidArgument'],
      [{ 'content-length': '1001' }, unsigned, 'EntityTooLarge'],
      [{ 'content-length': '5', 'content-md5': 'short' }, unsigned, 'InvalidDigest'],
      [{ 'content-length': '5', 'x-amz-checksum-crc32': 'a', 'x-amz-checksum-sha1': 'b' }, unsigned, 'InvalidRequest'],
      [{ 'content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' }, unsigned, 'InvalidRequest'],
      [{ 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-meta-late' }, chunked, 'InvalidRequest'],
    ] as const;
    for (const [headers, payload, code] of cases) {
      expect(() => open('hello', headers, payload), code).toThrow(expect.objectContaining({ code }));
    }
  });

  it('takes a request without a length for one without a body', async () => {
    const body = openRequestBody({
      raw: (async function* () {})(),
      header: () => undefined,
      payload: unsigned,
      maxBytes: 10,
    });
    expect(await body.text(10)).toBe('');
    expect(body.digests().bytes).toBe(0);
  });

  it('refuses a text that is longer than its reader wants', async () => {
    await expect(open('hello', { 'content-length': '5' }).text(4)).rejects.toMatchObject({ code: 'EntityTooLarge' });
  });

  it('knows no digests before the end', () => {
    expect(() => open('hello', { 'content-length': '5' }).digests()).toThrow('has not been read');
  });
});
