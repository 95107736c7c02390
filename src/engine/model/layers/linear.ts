import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';

/** A weight as checkpoints store it: [out, in], row-major. */
export interface Matrix {
  readonly values: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/**
 * x [rows, in] · Wᵀ → [rows, out]. A constant two-dimensional operand is packed once and gives a row the same bits
 * whatever the number of rows.
 */
export function addLinear(graph: GraphBuilder, input: ValueName, weight: Matrix, stem: string): ValueName {
  const name = graph.weight(stem, weight.values, [weight.rows, weight.columns]);
  return addLinearWith(graph, input, name);
}

/** The same with a constant that is already in the graph. */
export function addLinearWith(graph: GraphBuilder, input: ValueName, weight: ValueName): ValueName {
  return graph.op('Gemm', [input, weight], { transB: intAttribute(1) });
}

/** Rows of `upper`, then rows of `lower`: two projections of one input as one product. */
export function stackRows(upper: Matrix, lower: Matrix): Matrix {
  const values = new Float32Array(upper.values.length + lower.values.length);
  values.set(upper.values);
  values.set(lower.values, upper.values.length);
  return { values, rows: upper.rows + lower.rows, columns: upper.columns };
}
