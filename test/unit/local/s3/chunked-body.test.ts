import { describe, expect, it } from 'vitest';
import { decodeChunked } from '../../../../src/local/s3/chunked-body.ts';
import { type ChunkSigning, verifySignature } from '../../../../src/local/s3/signature.ts';
import { parseTarget } from '../../../../src/local/s3/uri.ts';

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};

/** The documented upload: 66,560 times the letter a, in chunks of 65,536, 1,024 and 0 bytes. */
function documentedSigning(
  kind: string,
  names: string,
  signature: string,
  headers: Record<string, string>,
): ChunkSigning {
  const all: Record<string, string> = {
    host: 's3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': kind,
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': '66560',
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names},Signature=${signature}`,
  };
  const payload = verifySignature(
    {
      method: 'PUT',
      target: parseTarget('/examplebucket/chunkObject.txt'),
      headers: Object.fromEntries(Object.entries(all).map(([name, value]) => [name, [value]])),
    },
    credentials,
    Date.UTC(2013, 4, 24),
  );
  if (payload.type !== 'chunked' || payload.signing === null) throw new Error('the example is a signed chunked upload');
  return payload.signing;
}

const plainSigning = (): ChunkSigning =>
  documentedSigning(
    'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
    'content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class',
    '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
    { 'content-length': '66824' },
  );

const plainBody = [
  `10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n${'a'.repeat(65_536)}\r\n`,
  `400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n${'a'.repeat(1024)}\r\n`,
  '0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
].join('');

async function decodeText(
  body: string,
  options: { signing?: ChunkSigning; hasTrailer?: boolean; pieceBytes?: number } = {},
): Promise<{ text: string; trailers: Record<string, string> }> {
  const pieces = async function* (): AsyncGenerator<Uint8Array> {
    const bytes = Buffer.from(body);
    const step = options.pieceBytes ?? bytes.byteLength;
    for (let start = 0; start < bytes.byteLength; start += step) yield bytes.subarray(start, start + step);
  };
  const trailers = new Map<string, string>();
  const chunks: Uint8Array[] = [];
  const coding = { signing: options.signing ?? null, hasTrailer: options.hasTrailer ?? false };
  for await (const chunk of decodeChunked(pieces(), coding, trailers)) chunks.push(Buffer.from(chunk));
  return { text: Buffer.concat(chunks).toString(), trailers: Object.fromEntries(trailers) };
}

describe('decodeChunked', () => {
  it('decodes the documented signed upload, however it is cut into pieces', async () => {
    for (const pieceBytes of [1, 7, 1000, 100_000]) {
      const { text } = await decodeText(plainBody, { signing: plainSigning(), pieceBytes });
      expect(text === 'a'.repeat(66_560)).toBe(true);
    }
  });

  it('decodes the documented signed upload with a trailer', async () => {
    const signing = documentedSigning(
      'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
      'content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer',
      '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
      { 'x-amz-trailer': 'x-amz-checksum-crc32c' },
    );
    const body = [
      `10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n${'a'.repeat(65_536)}\r\n`,
      `400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n${'a'.repeat(1024)}\r\n`,
      '0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n',
      'x-amz-checksum-crc32c:sOO8/Q==\r\n',
      'x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
    ];
    const { text, trailers } = await decodeText(body.join(''), { signing, hasTrailer: true });
    expect(text.length).toBe(66_560);
    expect(trailers).toEqual({ 'x-amz-checksum-crc32c': 'sOO8/Q==' });
    body[3] = 'x-amz-checksum-crc32c:sOO8/A==\r\n';
    await expect(decodeText(body.join(''), { signing, hasTrailer: true })).rejects.toThrow('the trailer has a wrong');
  });

  it('rejects a changed byte, a swapped, a missing and a repeated chunk', async () => {
    const signing = plainSigning();
    const [first = '', second = '', last = ''] = plainBody.split(/(?<=a\r\n)/);
    for (const body of [
      plainBody.replace('aaaa', 'aaba'),
      second + first + last,
      first + last,
      first + second + second + last,
      plainBody.replaceAll(/;chunk-signature=[0-9a-f]+/g, ''),
    ]) {
      await expect(decodeText(body, { signing })).rejects.toMatchObject({ code: 'SignatureDoesNotMatch' });
    }
  });

  it('decodes unsigned chunks with a trailer', async () => {
    const body = '5\r\nhello\r\n6;\r\n';
    await expect(decodeText(body, { hasTrailer: true })).rejects.toMatchObject({ code: 'IncompleteBody' });
    const good = '5\r\nhello\r\n1\r\n!\r\n0\r\nX-Amz-Checksum-Crc32: abc= \r\n\r\n';
    for (const pieceBytes of [1, 3, 100]) {
      expect(await decodeText(good, { hasTrailer: true, pieceBytes })).toEqual({
        text: 'hello!',
        trailers: { 'x-amz-checksum-crc32': 'abc=' },
      });
    }
  });

  it('decodes an empty body', async () => {
    expect((await decodeText('0\r\n\r\n')).text).toBe('');
  });

  it('rejects every broken form', async () => {
    const broken = [
      '',
      '5\r\nhel',
      '5\r\nhello',
      '5\r\nhello!\r\n0\r\n\r\n',
      '5\nhello\n0\n\n',
      'hello\r\n0\r\n\r\n',
      '-1\r\n0\r\n\r\n',
      'fffffffffffff\r\n',
      '0\r\n',
      '0\r\n\r\nmore',
      '0\r\nunannounced:yes\r\n\r\n',
      `0;${'x'.repeat(5000)}\r\n\r\n`,
    ];
    for (const body of broken) {
      await expect(decodeText(body), JSON.stringify(body.slice(0, 20))).rejects.toMatchObject({
        code: 'IncompleteBody',
      });
    }
    const manyTrailers = `0\r\n${'a:b\r\n'.repeat(3)}${Array.from({ length: 9 }, (_, index) => `n${index}:x\r\n`).join('')}\r\n`;
    await expect(decodeText(manyTrailers, { hasTrailer: true })).rejects.toMatchObject({ code: 'IncompleteBody' });
    await expect(decodeText('0\r\nno colon\r\n\r\n', { hasTrailer: true })).rejects.toMatchObject({
      code: 'IncompleteBody',
    });
  });
});
