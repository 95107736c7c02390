import { describe, expect, it } from 'vitest';
import { isAppError } from '../../../../src/base/errors.ts';
import { decodeHeaderLength, decodeSafetensorsHeader } from '../../../../src/engine/model/safetensors.ts';

const head = (length: bigint): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, length, true);
  return bytes;
};

/** A header over `dataBytes` bytes of data. */
function decode(header: unknown, dataBytes: number) {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  return decodeSafetensorsHeader(json, 8 + json.byteLength + dataBytes, 'w.safetensors');
}

function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isAppError(error) && error.code === 'corrupt.safetensors') return error.message;
    throw error;
  }
  return 'accepted';
}

const floats = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
});

describe('decodeSafetensorsHeader', () => {
  it('gives byte ranges from the start of the file and skips metadata', () => {
    const { tensors, headerBytes } = decode(
      { __metadata__: { format: 'pt' }, b: floats(8, 16), a: floats(0, 8, [1, 2]) },
      16,
    );
    expect([...tensors.keys()].sort()).toEqual(['a', 'b']);
    expect(tensors.get('a')).toEqual({ dtype: 'F32', shape: [1, 2], start: 8 + headerBytes, end: 16 + headerBytes });
  });

  it('accepts scalars and empty tensors', () => {
    const { tensors } = decode({ scalar: floats(0, 4, []), empty: floats(4, 4, [0, 7]) }, 4);
    expect(tensors.size).toBe(2);
  });

  it.each([
    ['not json', 0, 'w.safetensors: the header is not JSON'],
    ['[]', 0, 'w.safetensors: the header is not a JSON object'],
    [{ a: 3 }, 0, 'tensor a: the header entry is not an object'],
    [{ a: { ...floats(0, 4), dtype: 'F4' } }, 4, 'tensor a: dtype "F4" is none of BOOL,'],
    [{ a: { ...floats(0, 4), dtype: 'toString' } }, 4, 'tensor a: dtype "toString" is none of'],
    [{ a: floats(0, 4, [-1]) }, 4, 'tensor a: shape [-1] is not a list of whole numbers'],
    [{ a: { ...floats(0, 4), data_offsets: [0] } }, 4, 'tensor a: data_offsets [0] is not a pair'],
    [{ a: floats(8, 4, [1]) }, 8, 'tensor a: data_offsets begin at 8, behind their end 4'],
    [{ a: floats(0, 16) }, 12, 'tensor a: truncated: the data ends at 16, the file holds 12 data bytes'],
    [{ a: floats(0, 8, [3]) }, 8, 'tensor a: F32 [3] takes 12 bytes, data_offsets give 8'],
    [{ a: floats(0, 8, [2 ** 40, 2 ** 40]) }, 8, 'tensor a: F32 [1099511627776,1099511627776] takes'],
    [{ a: floats(0, 8), b: floats(4, 12) }, 12, 'tensor b begins at 4, inside tensor a that ends at 8'],
    [{ a: floats(0, 4), b: floats(8, 12) }, 12, 'tensor b begins at 8, leaving a hole from 4'],
    [{ a: floats(0, 4) }, 12, '8 bytes behind the last tensor belong to none'],
  ])('rejects %j over %i bytes', (header, dataBytes, message) => {
    expect(failure(() => decode(header, dataBytes))).toContain(message);
  });
});

describe('decodeHeaderLength', () => {
  it('reads the little-endian length', () => {
    expect(decodeHeaderLength(head(300n), 308, 'w')).toBe(300);
  });

  it.each([
    [head(1n).subarray(0, 5), 5, 'w: truncated: 5 bytes, a safetensors file has at least 8'],
    [head(301n), 308, 'w: truncated: the header ends at byte 309, the file has 308'],
    [head(100_000_001n), 2 ** 40, 'header length 100000001 exceeds the limit of 100000000 bytes'],
    [head(2n ** 64n - 1n), 2 ** 40, 'header length 18446744073709551615 exceeds the limit'],
  ])('rejects %j in a file of %i bytes', (bytes, fileBytes, message) => {
    expect(failure(() => decodeHeaderLength(bytes, fileBytes, 'w'))).toContain(message);
  });
});
