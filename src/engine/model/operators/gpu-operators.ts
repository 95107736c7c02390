import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import type { ProviderOperators } from './provider-operators.ts';

/** WebGPU has neither FusedMatMul nor TensorScatter: left to the CPU they would fetch and return all keys of each layer. */
export const gpuOperators: ProviderOperators = {
  allowsEmpty: false,
  expands: false,
  // at level 4 sums are wrong on WebGPU (runtime 1.30 on SwiftShader): logits 7 off, where they go to 6
  blockLevel: 0,
  cutsSuffix: false,
  addScores: (graph, queries, keys, scale, rank) => {
    const turned = graph.transpose(keys, rank === 2 ? [1, 0] : [0, 2, 1]);
    return graph.op('Mul', [graph.op('MatMul', [queries, turned]), graph.scalar(scale)]);
  },
  addNewRows: (graph, { suffix, newRows, write }) =>
    graph.op('ScatterND', [suffix, addPlaces(graph, newRows, write), newRows]),
};

/** (sequence, suffix row) of each new row: [sequences, tokens, 2]. The same in every layer, where the runtime keeps one. */
function addPlaces(graph: GraphBuilder, newRows: ValueName, write: ValueName): ValueName {
  const count = (axis: number): ValueName => graph.op('Squeeze', [graph.dimension(newRows, axis)]);
  const range = (end: ValueName): ValueName => graph.op('Range', [graph.scalarInt(0), end, graph.scalarInt(1)]);
  const rows = graph.op('Add', [graph.reshape(write, [-1, 1]), graph.reshape(range(count(1)), [1, -1])]);
  const sequences = graph.op('Expand', [graph.reshape(range(count(0)), [-1, 1]), graph.op('Shape', [rows])]);
  const last = graph.ints([2]);
  return graph.concat([graph.op('Unsqueeze', [sequences, last]), graph.op('Unsqueeze', [rows, last])], 2);
}
