import { type BlockMatrix, blockColumns, stackBlocks } from '../block-matrix.ts';
import { type GraphBuilder, intAttribute, microsoftDomain, type ValueName } from '../graph-builder.ts';

/** A weight as checkpoints store it: [out, in], row-major. */
export interface Matrix {
  readonly values: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** Of a projection: float32 in `full` precision, blocks of INT4 or INT8 in `int4`. */
export type LinearWeight = Matrix | BlockMatrix;

export function isBlocks(weight: LinearWeight): weight is BlockMatrix {
  return 'codes' in weight;
}

/**
 * x [rows, in] · Wᵀ → [rows, out]. A constant two-dimensional operand is packed once and gives a row the same bits
 * whatever the number of rows; so do blocks of 32 at level 4, where x is rounded to INT8 block by block.
 */
export function addLinear(graph: GraphBuilder, input: ValueName, weight: LinearWeight, stem: string): ValueName {
  return prepareLinear(graph, weight, stem)(input);
}

/** The same in two steps: a weight goes into the graph as soon as it has been read, its input may come later. */
export function prepareLinear(
  graph: GraphBuilder,
  weight: LinearWeight,
  stem: string,
): (input: ValueName) => ValueName {
  if (isBlocks(weight)) return prepareBlocks(graph, weight, stem);
  const name = graph.weight(stem, weight.values, [weight.rows, weight.columns]);
  return (input) => graph.op('Gemm', [input, name], { transB: intAttribute(1) });
}

function prepareBlocks(graph: GraphBuilder, weight: BlockMatrix, stem: string): (input: ValueName) => ValueName {
  const { bits, codes, scales, rows, columns } = weight;
  const blocks = Math.ceil(columns / blockColumns);
  const packed = graph.constant(`${stem}_codes`, { type: 'uint8', dims: [rows, blocks, 4 * bits], bytes: codes });
  const factors = graph.weight(`${stem}_scales`, scales, [rows, blocks]);
  const attributes = {
    K: intAttribute(columns),
    N: intAttribute(rows),
    bits: intAttribute(bits),
    block_size: intAttribute(blockColumns),
    accuracy_level: intAttribute(graph.blockLevel),
  };
  return (input) => graph.op('MatMulNBits', [input, packed, factors], attributes, microsoftDomain);
}

/** Rows of `upper`, then rows of `lower`: two projections of one input as one product. Null: they are stored otherwise. */
export function stackRows(upper: LinearWeight, lower: LinearWeight): LinearWeight | null {
  if (isBlocks(upper) && isBlocks(lower)) return upper.bits === lower.bits ? stackBlocks(upper, lower) : null;
  if (isBlocks(upper) || isBlocks(lower)) return null;
  const values = new Float32Array(upper.values.length + lower.values.length);
  values.set(upper.values);
  values.set(lower.values, upper.values.length);
  return { values, rows: upper.rows + lower.rows, columns: upper.columns };
}
