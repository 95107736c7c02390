/**
 * Weights in the layout of ONNX Runtime's MatMulNBits: 32 columns of a row share a scale, a value is
 * (code − 2^(bits−1)) · scale. Blocks of 32 are the only size whose products give a row the same bits whatever the
 * number of rows (accuracy level 4).
 */
export const blockColumns = 32;

export interface BlockMatrix {
  readonly bits: 4 | 8;
  /** [rows, ceil(columns / 32), 4 · bits]; of 4 bits, the even column is in the low half. */
  readonly codes: Uint8Array;
  /** [rows, ceil(columns / 32)] */
  readonly scales: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

interface FloatMatrix {
  readonly values: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** Rounds to 8 bits: the largest value of a block is code ±127, so the error is at most 1/254 of it. */
export function quantizeBlocks({ values, rows, columns }: FloatMatrix): BlockMatrix {
  const blocks = Math.ceil(columns / blockColumns);
  const codes = new Uint8Array(rows * blocks * blockColumns).fill(128);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = row * columns + block * blockColumns;
      const to = Math.min(from + blockColumns, (row + 1) * columns);
      let largest = 0;
      for (let at = from; at < to; at++) largest = Math.max(largest, Math.abs(values[at]!));
      if (largest === 0) continue;
      const scale = Math.fround(largest / 127);
      scales[row * blocks + block] = scale;
      const target = (row * blocks + block) * blockColumns;
      for (let at = from; at < to; at++) codes[target + at - from] = Math.round(values[at]! / scale) + 128;
    }
  }
  return { bits: 8, codes, scales, rows, columns };
}

/**
 * compressed-tensors `pack-quantized` has these very bytes; a scale of a wider group is repeated.
 * @param packed [rows, columns / 8] words, low half first
 * @param scales [rows, columns / groupColumns]
 * @param groupColumns a multiple of 32
 */
export function blocksOfPackedInt4(
  packed: Uint8Array,
  scales: Float32Array,
  { rows, columns, groupColumns }: { readonly rows: number; readonly columns: number; readonly groupColumns: number },
): BlockMatrix {
  const perGroup = groupColumns / blockColumns;
  const repeated =
    perGroup === 1
      ? scales
      : Float32Array.from({ length: (rows * columns) / blockColumns }, (_, at) => scales[Math.floor(at / perGroup)]!);
  return { bits: 4, codes: packed, scales: repeated, rows, columns };
}

/** Rows of `upper`, then rows of `lower`; both of equal bits and columns. */
export function stackBlocks(upper: BlockMatrix, lower: BlockMatrix): BlockMatrix {
  const codes = new Uint8Array(upper.codes.length + lower.codes.length);
  codes.set(upper.codes);
  codes.set(lower.codes, upper.codes.length);
  const scales = new Float32Array(upper.scales.length + lower.scales.length);
  scales.set(upper.scales);
  scales.set(lower.scales, upper.scales.length);
  return { ...upper, codes, scales, rows: upper.rows + lower.rows };
}
