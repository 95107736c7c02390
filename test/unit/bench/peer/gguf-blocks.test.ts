import { describe, expect, it } from 'vitest';
import { dequantizeInt4, widenBfloat16 } from '../../../../src/engine/model/element-types.ts';
import { encodeQ8, repackQ4 } from '../../../bench/peer/gguf-blocks.ts';
import { packInt4 } from '../../../support/make-nano/pack-int4.ts';
import { decodeFloats, randomNormal } from '../../../support/tiny-checkpoint.ts';

const scaleAt = (bytes: Uint8Array, at: number): number => decodeFloats(bytes.slice(at, at + 2), 'F16')[0] ?? 0;

/** As the format's description reads them. */
function decodeQ8(bytes: Uint8Array): Float32Array {
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Float32Array.from({ length: (bytes.length / 34) * 32 }, (_, index) => {
    const start = Math.floor(index / 32) * 34;
    return scaleAt(bytes, start) * (signed[start + 2 + (index % 32)] ?? 0);
  });
}

function decodeQ4(bytes: Uint8Array): Float32Array {
  return Float32Array.from({ length: (bytes.length / 18) * 32 }, (_, index) => {
    const start = Math.floor(index / 32) * 18;
    const place = index % 32;
    const pair = bytes[start + 2 + (place % 16)] ?? 0;
    return scaleAt(bytes, start) * ((place < 16 ? pair & 15 : pair >> 4) - 8);
  });
}

describe('encodeQ8', () => {
  it('keeps every value within half a step of its block', () => {
    const random = randomNormal(5);
    const values = Float32Array.from({ length: 320 }, (_, index) => random() * 10 ** (Math.floor(index / 32) % 4));
    const decoded = decodeQ8(encodeQ8(values));
    for (const [index, value] of values.entries()) {
      const start = index - (index % 32);
      const largest = Math.max(...values.slice(start, start + 32).map(Math.abs));
      // half a step, and what a float16 scale loses at the end of its range
      expect(Math.abs((decoded[index] ?? 0) - value)).toBeLessThan(largest * (0.5 / 127 + 2 ** -11));
    }
  });

  it('writes zeros for a block of zeros', () => {
    expect(encodeQ8(new Float32Array(32))).toEqual(new Uint8Array(34));
  });
});

describe('repackQ4', () => {
  it('keeps the values of a packed INT4 matrix to the bit', () => {
    const [rows, columns] = [6, 96];
    const random = randomNormal(9);
    const drawn = Float32Array.from({ length: rows * columns }, () => 0.1 * random());
    const [packed, scale] = packInt4('m', drawn, rows, columns, 32);
    const bytesOf = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;
    const scales = widenBfloat16(new Uint16Array(bytesOf(scale?.bytes ?? new Uint8Array(0))));
    const words = new Int32Array(bytesOf(packed?.bytes ?? new Uint8Array(0)));
    const wanted = dequantizeInt4(words, scales, rows, columns, 32);
    expect(wanted.some((value) => value !== 0)).toBe(true);
    expect(decodeQ4(repackQ4(new Uint8Array(words.buffer), scales))).toEqual(wanted);
  });
});
