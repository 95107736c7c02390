import type { GraphBuilder, ValueName } from '../graph-builder.ts';

/** Added to the score of a key that does not count: its probability is then 0. */
export const excluded = -1e30;

/**
 * Additive mask [sequences, tokens, 1, suffix rows]: key j of the suffix is visible to row i when j ≤ first + i.
 * @param suffixRows a one-element vector
 */
export function addCausalMask(
  graph: GraphBuilder,
  suffixRows: ValueName,
  first: ValueName,
  tokens: ValueName,
): ValueName {
  const zero = graph.scalarInt(0);
  const one = graph.scalarInt(1);
  const count = (vector: ValueName): ValueName => graph.op('Squeeze', [vector]);
  const keys = graph.op('Range', [zero, count(suffixRows), one]);
  const steps = graph.op('Range', [zero, count(tokens), one]);
  const rows = graph.op('Add', [graph.reshape(first, [-1, 1]), graph.reshape(steps, [1, -1])]);
  const visible = graph.op('LessOrEqual', [keys, graph.op('Unsqueeze', [rows, graph.ints([2, 3])])]);
  return graph.op('Where', [visible, graph.scalar(0), graph.scalar(excluded)]);
}
