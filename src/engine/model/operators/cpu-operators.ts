import { floatAttribute, intAttribute, microsoftDomain } from '../graph-builder.ts';
import type { ProviderOperators } from './provider-operators.ts';

/** The transposed product and its scale are one call of the matrix kernel; new rows are copied, not scattered. */
export const cpuOperators: ProviderOperators = {
  allowsEmpty: true,
  expands: true,
  blockLevel: 4,
  addScores: (graph, queries, keys, scale) => {
    const attributes = { transB: intAttribute(1), alpha: floatAttribute(scale) };
    return graph.op('FusedMatMul', [queries, keys], attributes, microsoftDomain);
  },
  addNewRows: (graph, suffix, newRows, write) =>
    graph.op('TensorScatter', [suffix, newRows, write], { axis: intAttribute(1) }),
};
