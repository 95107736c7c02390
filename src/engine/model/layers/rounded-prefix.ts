import { type GraphBuilder, intAttribute, microsoftDomain, type ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import { elementTypes } from '../onnx-proto.ts';

/**
 * Attention over a prefix in INT8: its latents were rounded when it was complete (`rounding-graph.ts`), queries and
 * shares are rounded here, and products and their sums are whole numbers, exact in any order. So a row has the same
 * bits whatever runs beside it, and of a long prefix a quarter of the bytes is read.
 *
 * Queries have one step a row, 127 of them up to its largest value; shares have one a row and block of 256 keys, 255 up
 * to the largest share in the block, so that blocks of small shares count as they should.
 */
export interface RoundedPrefix {
  /** INT8 [blocks, width, 256]: latents by column. */
  readonly keys: ValueName;
  /** [blocks, 1, 256]: of each key. */
  readonly keySteps: ValueName;
  /** INT8 [blocks, 256, latent rank] */
  readonly values: ValueName;
  /** [blocks, 1, 1]: of a block, times that of shares. */
  readonly valueSteps: ValueName;
  readonly shapes: RoundedShapes;
}

/** Made once, in the graph itself. */
export interface RoundedShapes {
  /** bool [1]: there are blocks. */
  readonly isRounded: ValueName;
  /** [prefix rows, suffix rows] */
  readonly parts: ValueName;
  /** Shapes, where queries are those of all sequences: [queries, width] and [queries, prefix rows]. */
  readonly queryRows: ValueName;
  readonly shareRows: ValueName;
  /** Shapes: [queries, blocks, 256] and [queries, blocks, 1]. */
  readonly shareBlocks: ValueName;
  readonly shareSizes: ValueName;
  /** Shapes: [sequences, queries of one, prefix rows] and [sequences, queries of one, latent rank]. */
  readonly scores: ValueName;
  readonly sums: ValueName;
}

/** Keys of a block. */
export const roundedBlock = 256;
/** Steps up to the largest value of a row of latents or queries, and up to the largest share of a block. */
export const latentSteps = 127;
export const shareSteps = 255;
/** Zero of queries, whose steps are unsigned. */
const offset = 128;
/** Stands for the largest of a row that is all zero. */
export const smallestRounded = 1e-30;

/** One-element vectors: sequences, and queries of one. */
interface QueryCounts {
  readonly sequences: ValueName;
  readonly queries: ValueName;
}

export function addRoundedShapes(
  graph: GraphBuilder,
  config: Pick<ModelConfig, 'latentRank' | 'ropeWidth'>,
  { sequences, queries }: QueryCounts,
  keys: ValueName,
  suffixRows: ValueName,
): RoundedShapes {
  const blocks = graph.dimension(keys, 0);
  const rows = graph.op('Mul', [blocks, graph.ints([roundedBlock])]);
  const all = graph.op('Mul', [sequences, queries]);
  return {
    isRounded: graph.op('Greater', [blocks, graph.ints([0])]),
    parts: graph.shape([rows, suffixRows]),
    queryRows: graph.shape([all, latentWidth(config)]),
    shareRows: graph.shape([all, rows]),
    shareBlocks: graph.shape([all, blocks, roundedBlock]),
    shareSizes: graph.shape([all, blocks, 1]),
    scores: graph.shape([sequences, queries, rows]),
    sums: graph.shape([sequences, queries, config.latentRank]),
  };
}

/** queries · keysᵀ · scale: [sequences, queries, prefix rows]. @param queries [sequences, queries, width] */
export function addRoundedScores(
  graph: GraphBuilder,
  { keys, keySteps, shapes }: RoundedPrefix,
  queries: ValueName,
  scale: number,
): ValueName {
  const rows = graph.reshapeTo(queries, shapes.queryRows);
  const largest = addLargest(graph, graph.op('Abs', [rows]));
  const inSteps = graph.op('Mul', [rows, graph.op('Div', [graph.scalar(latentSteps), largest])]);
  // the product wants unsigned rows; cutting off what is behind the point rounds, since all are positive
  const rounded = addCast(graph, graph.op('Add', [inSteps, graph.scalar(offset + 0.5)]), 'uint8');
  const inputs = [
    graph.op('Unsqueeze', [rounded, graph.ints([0])]),
    keys,
    graph.scalar(scale / latentSteps),
    keySteps,
    graph.scalarByte(offset),
  ];
  const byBlock = graph.op('MatMulIntegerToFloat', inputs, {}, microsoftDomain);
  const byRow = graph.reshapeTo(graph.transpose(byBlock, [1, 0, 2]), shapes.shareRows);
  return graph.reshapeTo(graph.op('Mul', [byRow, largest]), shapes.scores);
}

/** Shares times latents: [sequences, queries, latent rank]. @param shares [sequences, queries, prefix rows] */
export function addRoundedSum(
  graph: GraphBuilder,
  { values, valueSteps, shapes }: RoundedPrefix,
  shares: ValueName,
): ValueName {
  const inBlocks = graph.reshape(shares, [-1, roundedBlock]);
  const largest = addLargest(graph, inBlocks);
  const steps = graph.op('Squeeze', [graph.op('Mul', [largest, graph.scalar(1 / shareSteps)]), graph.ints([1])]);
  const attributes = { axis: intAttribute(0), output_dtype: intAttribute(elementTypes.uint8) };
  const rounded = graph.op('QuantizeLinear', [inBlocks, steps], attributes);
  const byBlock = graph.transpose(graph.reshapeTo(rounded, shapes.shareBlocks), [1, 0, 2]);
  const products = addCast(graph, graph.op('MatMulInteger', [byBlock, values]), 'float32');
  const largestByBlock = graph.transpose(graph.reshapeTo(largest, shapes.shareSizes), [1, 0, 2]);
  const parts = graph.op('Mul', [products, graph.op('Mul', [largestByBlock, valueSteps])]);
  const sum = graph.op('ReduceSum', [parts, graph.ints([0])], { keepdims: intAttribute(0) });
  return graph.reshapeTo(sum, shapes.sums);
}

/** Of each row, [rows, 1]. */
function addLargest(graph: GraphBuilder, rows: ValueName): ValueName {
  return graph.op('Max', [graph.op('ReduceMax', [rows, graph.ints([1])]), graph.scalar(smallestRounded)]);
}

function addCast(graph: GraphBuilder, value: ValueName, type: 'float32' | 'uint8'): ValueName {
  return graph.op('Cast', [value], { to: intAttribute(elementTypes[type]) });
}
