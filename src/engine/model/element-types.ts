/** Stored element types → float32. All are exact: bfloat16 and float16 are subsets of float32. */

/** bfloat16 is the upper half of a float32. */
export function widenBfloat16(values: Uint16Array): Float32Array {
  const bits = new Uint32Array(values.length);
  for (let index = 0; index < values.length; index++) bits[index] = values[index]! << 16;
  return new Float32Array(bits.buffer);
}

/** IEEE binary16, subnormals, infinities and NaN included. */
export function widenFloat16(values: Uint16Array): Float32Array {
  const wide = new Float32Array(values.length);
  for (let index = 0; index < values.length; index++) wide[index] = float16Value(values[index]!);
  return wide;
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * compressed-tensors `pack-quantized`, 4 bits, symmetric: column 8k + j of a row sits in bits 4j..4j+3 of word k,
 * stored as value + 8; every `groupColumns` columns of a row share a scale.
 * @param packed [rows, ceil(columns / 8)]
 * @param scales [rows, columns / groupColumns]
 * @returns [rows, columns]
 */
export function dequantizeInt4(
  packed: Int32Array,
  scales: Float32Array,
  rows: number,
  columns: number,
  groupColumns: number,
): Float32Array {
  const wide = new Float32Array(rows * columns);
  const words = Math.ceil(columns / 8);
  const groups = columns / groupColumns;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const word = packed[row * words + (column >> 3)]!;
      const scale = scales[row * groups + Math.floor(column / groupColumns)]!;
      wide[row * columns + column] = (((word >>> (4 * (column & 7))) & 15) - 8) * scale;
    }
  }
  return wide;
}
