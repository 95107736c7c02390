import { describe, expect, it } from 'vitest';
import { dequantizeInt4, widenBfloat16, widenFloat16 } from '../../../../src/engine/model/element-types.ts';
import { decodeFloats } from '../../../support/tiny-checkpoint.ts';

describe('widenBfloat16', () => {
  it('keeps every finite bit pattern', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => (bits & 0x7f80) !== 0x7f80);
    expect(widenBfloat16(all)).toEqual(decodeFloats(new Uint8Array(all.buffer), 'BF16'));
  });
});

describe('widenFloat16', () => {
  it('keeps every finite bit pattern, subnormals and signed zero included', () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits).filter((bits) => (bits & 0x7c00) !== 0x7c00);
    expect(widenFloat16(all)).toEqual(decodeFloats(new Uint8Array(all.buffer), 'F16'));
  });

  it('knows infinities and not-a-number', () => {
    expect([...widenFloat16(Uint16Array.of(0x7c00, 0xfc00, 0x7e00))]).toEqual([
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
    ]);
  });
});

describe('dequantizeInt4', () => {
  it('reads the lowest column from the lowest nibble, less 8, times the scale of its group', () => {
    // Nibbles 0..7, then 8..15: columns 0..15 hold -8..7.
    const packed = Int32Array.of(0x76543210, 0xfedcba98 | 0);
    const wide = dequantizeInt4(packed, Float32Array.of(1, 0.5), 1, 16, 8);
    expect([...wide]).toEqual([-8, -7, -6, -5, -4, -3, -2, -1, 0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]);
  });

  it('starts every row at a whole word', () => {
    const wide = dequantizeInt4(Int32Array.of(0x9999, 0xaaaa), Float32Array.of(1, 10), 2, 4, 4);
    expect([...wide]).toEqual([1, 1, 1, 1, 20, 20, 20, 20]);
  });
});
