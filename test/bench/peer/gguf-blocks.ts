import { encodeFloats } from '../../support/tiny-checkpoint.ts';
import { blockColumns } from './shapes.ts';

/** Values of a Q8_0 block take so many steps to either side of zero. */
const steps8 = 127;

/** float32 → Q8_0: for every 32 values a float16 scale, max|w| / 127, and 32 signed bytes. */
export function encodeQ8(values: Float32Array): Uint8Array {
  const blocks = values.length / blockColumns;
  const scales = new Float32Array(blocks);
  const blockBytes = 2 + blockColumns;
  const bytes = new Uint8Array(blocks * blockBytes);
  const signed = new Int8Array(bytes.buffer);
  for (let block = 0; block < blocks; block++) {
    const start = block * blockColumns;
    let largest = 0;
    for (let at = start; at < start + blockColumns; at++) largest = Math.max(largest, Math.abs(values[at] ?? 0));
    const scale = largest / steps8;
    scales[block] = scale;
    if (scale === 0) continue;
    const target = block * blockBytes + 2;
    for (let at = 0; at < blockColumns; at++) signed[target + at] = Math.round((values[start + at] ?? 0) / scale);
  }
  return withScales(bytes, scales, blockBytes);
}

/**
 * compressed-tensors INT4 → Q4_0. The codes are the same, stored as q + 8; only their order differs: words have
 * neighbours in one byte, a Q4_0 byte has columns i and i + 16 of its block.
 * @param packed eight codes a 32-bit word, little-endian, lowest column lowest
 */
export function repackQ4(packed: Uint8Array, scales: Float32Array): Uint8Array {
  const codeBytes = blockColumns / 2;
  const blockBytes = 2 + codeBytes;
  const bytes = new Uint8Array(scales.length * blockBytes);
  for (let block = 0; block < scales.length; block++) {
    const source = block * codeBytes;
    const target = block * blockBytes + 2;
    for (let pair = 0; pair < codeBytes / 2; pair++) {
      const low = packed[source + pair] ?? 0;
      const high = packed[source + codeBytes / 2 + pair] ?? 0;
      bytes[target + 2 * pair] = (low & 0x0f) | ((high & 0x0f) << 4);
      bytes[target + 2 * pair + 1] = (low >> 4) | (high & 0xf0);
    }
  }
  return withScales(bytes, scales, blockBytes);
}

/** Puts a float16 before the codes of each block. */
function withScales(bytes: Uint8Array, scales: Float32Array, blockBytes: number): Uint8Array {
  const halves = encodeFloats(scales, 'F16');
  for (let block = 0; block < scales.length; block++) {
    bytes[block * blockBytes] = halves[2 * block] ?? 0;
    bytes[block * blockBytes + 1] = halves[2 * block + 1] ?? 0;
  }
  return bytes;
}
