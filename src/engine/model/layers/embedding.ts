import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import type { Matrix } from './linear.ts';

/** Rows [rows, hidden] of the embedding table for ids [sequences, tokens], flattened. */
export function addEmbedding(graph: GraphBuilder, ids: ValueName, weight: Matrix): ValueName {
  const table = graph.weight('embedding', weight.values, [weight.rows, weight.columns]);
  return graph.op('Gather', [table, graph.reshape(ids, [-1])]);
}
