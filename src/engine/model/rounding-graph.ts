import { GraphBuilder, intAttribute, type ValueName } from './graph-builder.ts';
import { latentSteps, roundedBlock, shareSteps, smallestRounded } from './layers/rounded-products.ts';
import { elementTypes } from './onnx-proto.ts';

/**
 * One layer of a prefix, `rows` [blocks · 256, width], in INT8 as `RoundedPrefix` has it: outputs `keys`, `keySteps`,
 * `values` and `valueSteps`. A row has 127 steps up to its largest value, and so have a block's values.
 */
export function buildRounding(width: number, valueWidth: number): Uint8Array {
  const graph = GraphBuilder.open('rounding', null);
  const rows = graph.input('rows', 'float32', ['rows', width]);
  const keyStep = addStep(graph, rows);
  const keys = graph.reshape(addWhole(graph, rows, keyStep), [-1, roundedBlock, width]);
  graph.output(graph.transpose(keys, [0, 2, 1]), 'int8', ['blocks', width, roundedBlock], 'keys');
  graph.output(graph.reshape(keyStep, [-1, 1, roundedBlock]), 'float32', ['blocks', 1, roundedBlock], 'keySteps');

  const latents = graph.op('Slice', [rows, graph.ints([0]), graph.ints([valueWidth]), graph.ints([1])]);
  const blocks = graph.reshape(latents, [-1, roundedBlock * valueWidth]);
  const blockStep = addStep(graph, blocks);
  const values = graph.reshape(addWhole(graph, blocks, blockStep), [-1, roundedBlock, valueWidth]);
  graph.output(values, 'int8', ['blocks', roundedBlock, valueWidth], 'values');
  const perShare = graph.op('Mul', [blockStep, graph.scalar(1 / shareSteps)]);
  graph.output(graph.reshape(perShare, [-1, 1, 1]), 'float32', ['blocks', 1, 1], 'valueSteps');
  return graph.encodeModel();
}

/** Of each row; not a number where one of its values is none, which the largest would not tell. */
function addStep(graph: GraphBuilder, rows: ValueName): ValueName {
  const reduce = (operator: string): ValueName =>
    graph.op(operator, [rows, graph.ints([1])], { keepdims: intAttribute(0) });
  const largest = graph.op('Max', [
    reduce('ReduceMax'),
    graph.op('Neg', [reduce('ReduceMin')]),
    graph.scalar(smallestRounded),
  ]);
  const zero = graph.op('Mul', [reduce('ReduceSum'), graph.scalar(0)]);
  return graph.op('Mul', [graph.op('Add', [largest, zero]), graph.scalar(1 / latentSteps)]);
}

function addWhole(graph: GraphBuilder, rows: ValueName, steps: ValueName): ValueName {
  const attributes = { axis: intAttribute(0), output_dtype: intAttribute(elementTypes.int8) };
  return graph.op('QuantizeLinear', [rows, steps], attributes);
}
