import { describe, expect, it } from 'vitest';
import {
  alignment,
  encodeGgufHeader,
  type GgufTensor,
  type GgufValue,
  paddingBehind,
  tensorBytes,
} from '../../../bench/peer/gguf-header.ts';

/** Written apart from the writer, after the format's description. */
class Reader {
  readonly #bytes: Buffer;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes);
  }

  uint32 = (): number => this.#bytes.readUInt32LE(this.#take(4));
  int32 = (): number => this.#bytes.readInt32LE(this.#take(4));
  float32 = (): number => this.#bytes.readFloatLE(this.#take(4));
  uint64 = (): number => Number(this.#bytes.readBigUInt64LE(this.#take(8)));

  text(length = this.uint64()): string {
    const start = this.#take(length);
    return this.#bytes.toString('utf8', start, this.at);
  }

  #take(length: number): number {
    const start = this.at;
    this.at += length;
    return start;
  }

  value(type = this.uint32()): unknown {
    switch (type) {
      case 4:
        return this.uint32();
      case 5:
        return this.int32();
      case 6:
        return this.float32();
      case 7:
        return this.text(1) === '\u0001';
      case 8:
        return this.text();
      case 9: {
        const element = this.uint32();
        return Array.from({ length: this.uint64() }, () => this.value(element));
      }
      default:
        throw new Error(`value type ${type}`);
    }
  }
}

const metadata = new Map<string, GgufValue>([
  ['general.architecture', { type: 'string', value: 'deepseek2' }],
  ['layers', { type: 'uint32', value: 3_000_000_000 }],
  ['epsilon', { type: 'float32', value: 0.25 }],
  ['norm', { type: 'bool', value: true }],
  ['tokens', { type: 'strings', value: ['a', 'Ġé', ''] }],
  ['kinds', { type: 'int32s', value: [1, 3, -1] }],
]);
const tensors: readonly GgufTensor[] = [
  { name: 'norm', type: 'F32', shape: [5] },
  { name: 'q8', type: 'Q8_0', shape: [3, 64] },
  { name: 'experts', type: 'Q4_0', shape: [2, 3, 32] },
];

describe('encodeGgufHeader', () => {
  it('writes magic, version, totals, entries and tensor places in this order', () => {
    const header = encodeGgufHeader(metadata, tensors);
    const reader = new Reader(header);
    expect(reader.text(4)).toBe('GGUF');
    expect([reader.uint32(), reader.uint64(), reader.uint64()]).toEqual([3, 3, 6]);
    const entries = Array.from({ length: 6 }, () => [reader.text(), reader.value()]);
    expect(entries).toEqual([
      ['general.architecture', 'deepseek2'],
      ['layers', 3_000_000_000],
      ['epsilon', 0.25],
      ['norm', true],
      ['tokens', ['a', 'Ġé', '']],
      ['kinds', [1, 3, -1]],
    ]);
    const places = tensors.map(() => {
      const name = reader.text();
      const dims = Array.from({ length: reader.uint32() }, () => reader.uint64());
      return { name, dims, type: reader.uint32(), offset: reader.uint64() };
    });
    // 5 · 4 = 20 bytes, then 12 zeros; 3 rows of two blocks of 34 bytes = 204, then 20 zeros
    expect(places).toEqual([
      { name: 'norm', dims: [5], type: 0, offset: 0 },
      { name: 'q8', dims: [64, 3], type: 8, offset: 32 },
      { name: 'experts', dims: [32, 3, 2], type: 2, offset: 256 },
    ]);
    expect(header.byteLength % alignment).toBe(0);
    expect(header.byteLength - reader.at).toBeLessThan(alignment);
    expect(header.slice(reader.at).every((byte) => byte === 0)).toBe(true);
  });
});

describe('tensorBytes', () => {
  it('counts blocks with their scales', () => {
    expect(tensors.map(tensorBytes)).toEqual([20, 204, 108]);
    expect(tensors.map(tensorBytes).map(paddingBehind)).toEqual([12, 20, 20]);
    expect(paddingBehind(64)).toBe(0);
  });

  it('rejects rows that end inside a block', () => {
    expect(() => tensorBytes({ name: 'x', type: 'Q8_0', shape: [2, 48] })).toThrow(
      'x: rows of 48 values, Q8_0 needs a multiple of 32',
    );
  });
});
