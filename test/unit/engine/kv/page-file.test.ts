import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAppError } from '../../../../src/base/errors.ts';
import {
  decodePage,
  encodePage,
  type PageIdentity,
  pageFileBytes,
  pageHeadBytes,
} from '../../../../src/engine/kv/page-file.ts';

const name = 'ab'.repeat(32);
const tiny: PageIdentity = { name, shape: { layers: 1, latentWidth: 1 } };
const payloadBytes = 1024;

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const pageOf = (total: number): Float32Array => Float32Array.from({ length: total }, (_, index) => Math.sin(index));
const fileOf = (identity: PageIdentity, latents: Float32Array): Buffer => Buffer.concat(encodePage(identity, latents));
const decode = (bytes: Uint8Array, identity = tiny): Float32Array => decodePage(bytes, identity, 'p.safetensors');
const refusal = (code: string, text = '') => expect.objectContaining({ code, message: expect.stringContaining(text) });

/** Of the error thrown; undefined for none. */
function familyOf(call: () => unknown): string | undefined {
  try {
    call();
    return undefined;
  } catch (error) {
    return isAppError(error) ? error.family : 'other';
  }
}

const payload = Buffer.from(pageOf(256).buffer);
const goodHeader = {
  __metadata__: { version: '1', name, sha256: sha256(payload) },
  latents: { dtype: 'F32', shape: [1, 256, 1], data_offsets: [0, payloadBytes] },
};

/** A file with any header, padded as ours are. */
function fileWith(header: unknown, data: Uint8Array = payload): Buffer {
  const json = Buffer.from(JSON.stringify(header));
  const head = Buffer.alloc(Math.ceil((8 + json.length) / 8) * 8, ' ');
  head.writeBigUInt64LE(BigInt(head.length - 8));
  json.copy(head, 8);
  return Buffer.concat([head, data]);
}

describe('page file', () => {
  it('is a safetensors file of one tensor, the payload at a multiple of 8', () => {
    const file = fileOf(tiny, pageOf(256));
    expect(file.equals(fileWith(goodHeader))).toBe(true);
    expect(pageHeadBytes(tiny) % 8).toBe(0);
    expect(file.subarray(pageHeadBytes(tiny)).equals(payload)).toBe(true);
  });

  it('has one length for all pages of a shape (F2)', () => {
    const other = { ...tiny, name: '0'.repeat(64) };
    expect(pageFileBytes(tiny)).toBe(fileOf(tiny, pageOf(256)).length);
    expect(pageFileBytes(other)).toBe(pageFileBytes(tiny));
  });

  it('gives back every bit, from bytes at any offset, in memory of its own (F3)', () => {
    const shapes = fc.record({ layers: fc.integer({ min: 1, max: 3 }), latentWidth: fc.integer({ min: 1, max: 4 }) });
    fc.assert(
      fc.property(shapes, fc.nat(7), fc.infiniteStream(fc.nat(0xffff_ffff)), (shape, offset, words) => {
        const identity = { name, shape };
        const bits = Uint32Array.from(words.take(shape.layers * 256 * shape.latentWidth));
        const file = fileOf(identity, new Float32Array(bits.buffer));
        const shifted = Buffer.concat([Buffer.alloc(offset), file]).subarray(offset);
        const latents = decode(shifted, identity);
        shifted.fill(0);
        expect(Buffer.from(latents.buffer).equals(Buffer.from(bits.buffer))).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it('rejects every length but its own', () => {
    const file = fileOf(tiny, pageOf(256));
    const longer = Buffer.concat([file, Buffer.alloc(9)]);
    for (let length = 0; length < longer.length; length++) {
      if (length === file.length) continue;
      expect(() => decode(longer.subarray(0, length)), `${length} bytes`).toThrow(refusal('corrupt.safetensors'));
    }
    expect(() => decode(file.subarray(0, 7))).toThrow(refusal('corrupt.safetensors', 'truncated: 7 bytes'));
    expect(() => decode(longer)).toThrow(refusal('corrupt.safetensors', '9 bytes behind the last tensor'));
  });

  it('rejects every single flipped bit (F1)', () => {
    const file = fileOf(tiny, pageOf(256));
    const accepted: number[] = [];
    for (let bit = 0; bit < file.length * 8; bit++) {
      const flipped = Buffer.from(file);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      if (familyOf(() => decode(flipped)) !== 'corrupt') accepted.push(bit);
    }
    expect(accepted).toEqual([]);
  });

  it('names the payload that is not the one written', () => {
    const changed = Buffer.from(payload);
    changed[500] = (changed[500] ?? 0) ^ 1;
    expect(() => decode(fileWith(goodHeader, changed))).toThrow(refusal('corrupt.checksum', sha256(changed)));
  });

  it('rejects a page of another name', () => {
    const other = { ...tiny, name: 'cd'.repeat(32) };
    expect(() => decode(fileOf(other, pageOf(256)))).toThrow(
      refusal('corrupt.safetensors', `holds page "${other.name}"`),
    );
  });

  it.each(['2', '', '01', 1, null])('rejects version %j by name', (version) => {
    const header = { ...goodHeader, __metadata__: { ...goodHeader.__metadata__, version } };
    expect(() => decode(fileWith(header))).toThrow(
      refusal('corrupt.version', `version ${JSON.stringify(version)} is unknown`),
    );
  });

  it('rejects a page of another shape and the same size', () => {
    const other: PageIdentity = { name, shape: { layers: 2, latentWidth: 3 } };
    const wanted: PageIdentity = { name, shape: { layers: 3, latentWidth: 2 } };
    expect(() => decode(fileOf(other, pageOf(1536)), wanted)).toThrow(
      refusal('corrupt.safetensors', 'has the shape [2,256,3], a page [3,256,2]'),
    );
  });

  it.each<[string, unknown]>([
    ['no metadata', { latents: goodHeader.latents }],
    ['metadata that is no object', { ...goodHeader, __metadata__: 'x' }],
  ])('rejects %s as an unknown version', (_, header) => {
    expect(() => decode(fileWith(header))).toThrow(refusal('corrupt.version', 'version undefined'));
  });

  it.each<[string, unknown]>([
    ['another tensor name', { __metadata__: goodHeader.__metadata__, latent: goodHeader.latents }],
    ['another element type', { ...goodHeader, latents: { ...goodHeader.latents, dtype: 'I32' } }],
    ['a second, empty tensor', { ...goodHeader, more: { dtype: 'F32', shape: [0], data_offsets: [0, 0] } }],
    ['more metadata', { ...goodHeader, __metadata__: { ...goodHeader.__metadata__, note: 'x' } }],
    ['keys in another order', { latents: goodHeader.latents, __metadata__: goodHeader.__metadata__ }],
    ['a sha256 that is none', { ...goodHeader, __metadata__: { ...goodHeader.__metadata__, sha256: 'AB'.repeat(32) } }],
    ['a header that is no object', [goodHeader]],
  ])('rejects %s', (_, header) => {
    expect(() => decode(fileWith(header))).toThrow(refusal('corrupt.safetensors'));
  });

  it('rejects a header larger than any page has', () => {
    const padded = Buffer.from(JSON.stringify(goodHeader).padEnd(4096));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(padded.length));
    const file = Buffer.concat([length, padded, payload]);
    expect(() => decode(file)).toThrow(refusal('corrupt.safetensors', 'the header has 4096 bytes'));
    length.writeBigUInt64LE(0xffff_ffff_ffff_ffffn);
    expect(() => decode(Buffer.concat([length, padded, payload]))).toThrow(
      refusal('corrupt.safetensors', 'exceeds the limit'),
    );
  });

  it('rejects latents of another shape as a mistake of ours', () => {
    expect(() => encodePage(tiny, new Float32Array(255))).toThrow(
      refusal('bug.invariant', '255 values, its shape 256'),
    );
  });
});
