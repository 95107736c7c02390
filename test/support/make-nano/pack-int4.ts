import { encodeBf16, littleEndian, roundToBf16, type Tensor } from './encode-safetensors.ts';

/**
 * compressed-tensors `pack-quantized`: 4 bits, symmetric, a BF16 scale for every `groupColumns` columns of a row.
 * Eight columns share a 32-bit word, the lowest column in the lowest nibble, stored as q + 8. The scale is max|w| / 7,
 * so that code -8 stays unused, as in the family's published checkpoints.
 */
export function packInt4(
  name: string,
  values: Float32Array,
  rows: number,
  columns: number,
  groupColumns: number,
): readonly Tensor[] {
  const words = new Uint32Array((rows * columns) / 8);
  const scales = new Float32Array((rows * columns) / groupColumns);
  for (let group = 0; group < scales.length; group++) {
    const start = group * groupColumns;
    const weights = values.subarray(start, start + groupColumns);
    const scale = roundToBf16(weights.reduce((top, weight) => Math.max(top, Math.abs(weight)), 0) / 7);
    scales[group] = scale;
    for (const [offset, weight] of weights.entries()) {
      const level = scale === 0 ? 0 : Math.max(-7, Math.min(7, Math.round(weight / scale)));
      const at = start + offset;
      words[at >> 3] = (words[at >> 3] ?? 0) | ((level + 8) << (4 * (at & 7)));
    }
  }
  return [
    { name: `${name}.weight_packed`, dtype: 'I32', shape: [rows, columns / 8], bytes: littleEndian(words) },
    { name: `${name}.weight_scale`, dtype: 'BF16', shape: [rows, columns / groupColumns], bytes: encodeBf16(scales) },
    { name: `${name}.weight_shape`, dtype: 'I32', shape: [2], bytes: littleEndian(new Int32Array([rows, columns])) },
  ];
}
