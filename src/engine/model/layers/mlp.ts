import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import { type LinearWeight, prepareLinear, stackRows } from './linear.ts';

export interface MlpWeights {
  readonly gate: LinearWeight;
  readonly up: LinearWeight;
  readonly down: LinearWeight;
}

/** Its products by themselves: those of several may share what is between them. */
export interface PreparedMlp {
  /** x [rows, hidden] → [rows, 2 · width]: gate, then up. */
  readonly gateAndUp: (input: ValueName) => ValueName;
  readonly width: number;
  readonly down: (input: ValueName) => ValueName;
}

/** W_down( silu(W_gate x) ⊙ W_up x ) for x [rows, hidden]. */
export function addMlp(graph: GraphBuilder, input: ValueName, weights: MlpWeights, stem: string): ValueName {
  const { gateAndUp, width, down } = prepareMlp(graph, weights, stem);
  return down(addGated(graph, gateAndUp(input), width));
}

export function prepareMlp(graph: GraphBuilder, { gate, up, down }: MlpWeights, stem: string): PreparedMlp {
  return {
    gateAndUp: prepareGateAndUp(graph, gate, up, stem),
    width: gate.rows,
    down: prepareLinear(graph, down, `${stem}_down`),
  };
}

function prepareGateAndUp(
  graph: GraphBuilder,
  gate: LinearWeight,
  up: LinearWeight,
  stem: string,
): PreparedMlp['gateAndUp'] {
  const stacked = stackRows(gate, up);
  if (stacked !== null) return prepareLinear(graph, stacked, `${stem}_gate_up`);
  const apart = [prepareLinear(graph, gate, `${stem}_gate`), prepareLinear(graph, up, `${stem}_up`)];
  return (input) =>
    graph.concat(
      apart.map((product) => product(input)),
      -1,
    );
}

/** silu(gate) ⊙ up of [rows, 2 · width] → [rows, width]. */
export function addGated(graph: GraphBuilder, both: ValueName, width: number): ValueName {
  const [gate = '', up = ''] = graph.splitLast(both, [width, width]);
  return graph.op('Mul', [graph.op('Mul', [gate, graph.op('Sigmoid', [gate])]), up]);
}
