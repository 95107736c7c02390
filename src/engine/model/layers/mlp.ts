import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import { addLinear, type LinearWeight, stackRows } from './linear.ts';

export interface MlpWeights {
  readonly gate: LinearWeight;
  readonly up: LinearWeight;
  readonly down: LinearWeight;
}

/** W_down( silu(W_gate x) ⊙ W_up x ) for x [rows, hidden]. */
export function addMlp(graph: GraphBuilder, input: ValueName, weights: MlpWeights, stem: string): ValueName {
  const [gate, up] = addGateAndUp(graph, input, weights, stem);
  const silu = graph.op('Mul', [gate, graph.op('Sigmoid', [gate])]);
  return addLinear(graph, graph.op('Mul', [silu, up]), weights.down, `${stem}_down`);
}

function addGateAndUp(
  graph: GraphBuilder,
  input: ValueName,
  { gate, up }: MlpWeights,
  stem: string,
): readonly [gate: ValueName, up: ValueName] {
  const stacked = stackRows(gate, up);
  if (stacked === null)
    return [addLinear(graph, input, gate, `${stem}_gate`), addLinear(graph, input, up, `${stem}_up`)];
  const both = addLinear(graph, input, stacked, `${stem}_gate_up`);
  const [first = '', second = ''] = graph.splitLast(both, [gate.rows, up.rows]);
  return [first, second];
}
