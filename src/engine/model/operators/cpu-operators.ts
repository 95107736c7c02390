import { invariant } from '../../../base/invariant.ts';
import { floatAttribute, intAttribute, microsoftDomain } from '../graph-builder.ts';
import type { ProviderOperators } from './provider-operators.ts';

/**
 * The transposed product and its scale are one call of the matrix kernel. New rows are written into a copy, since the
 * graph's input stays as it is; the copy has only the rows that are read.
 */
export const cpuOperators: ProviderOperators = {
  allowsEmpty: true,
  expands: true,
  blockLevel: 4,
  cutsSuffix: true,
  addScores: (graph, queries, keys, scale) => {
    const attributes = { transB: intAttribute(1), alpha: floatAttribute(scale) };
    return graph.op('FusedMatMul', [queries, keys], attributes, microsoftDomain);
  },
  addNewRows: (graph, { suffix, ownRows, newRows, write, width }) => {
    invariant(ownRows !== null, 'the suffix is cut');
    const read = graph.op('Gather', [suffix, ownRows], { axis: intAttribute(0) });
    // of one size, or the new rows would be written into another copy
    graph.describe(read, 'float32', ['sequences', 'own_rows', width]);
    return graph.op('TensorScatter', [read, newRows, write], { axis: intAttribute(1) });
  },
};
