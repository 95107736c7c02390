import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import { addLinear, addLinearWith, type Matrix } from './linear.ts';

export interface EmbeddingParts {
  /** [rows, hidden] */
  readonly hidden: ValueName;
  /** The table's constant, for a head that shares it. */
  readonly table: ValueName;
}

/** Rows of the embedding table for ids [sequences, tokens], flattened. */
export function addEmbedding(graph: GraphBuilder, ids: ValueName, weight: Matrix): EmbeddingParts {
  const table = graph.weight('embedding', weight.values, [weight.rows, weight.columns]);
  return { hidden: graph.op('Gather', [table, graph.reshape(ids, [-1])]), table };
}

/** Logits of hidden rows; `weight` null shares the embedding table. */
export function addHead(graph: GraphBuilder, hidden: ValueName, weight: Matrix | null, table: ValueName): ValueName {
  return weight === null ? addLinearWith(graph, hidden, table) : addLinear(graph, hidden, weight, 'head');
}
