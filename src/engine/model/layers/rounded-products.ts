import { type GraphBuilder, intAttribute, microsoftDomain, type ValueName } from '../graph-builder.ts';
import { elementTypes } from '../onnx-proto.ts';

/**
 * Attention over whole blocks of rows in INT8: latents were rounded when a block was complete (`rounding-graph.ts`),
 * queries and shares are rounded here, and products and their sums are whole numbers, exact in any order. So a row has the
 * same bits whatever runs beside it, and a quarter of the bytes is read.
 *
 * Queries have one step a row, 127 of them up to its largest value; shares have one a row and block of 256 keys, 255 up
 * to the largest share in the block, so that blocks of small shares count as they should.
 */
export interface RoundedBlocks {
  /** INT8 [blocks, width, 256]: latents by column. */
  readonly keys: ValueName;
  /** [blocks, 1, 256]: of each key. */
  readonly keySteps: ValueName;
  /** INT8 [blocks, 256, latent rank] */
  readonly values: ValueName;
  /** [blocks, 1, 1]: of a block, times that of shares. */
  readonly valueSteps: ValueName;
}

/** Blocks that some rows are: those of a prefix, or of sequences' own. */
export interface RoundedSource {
  /** One-element vector: rows of each sequence. */
  readonly rows: ValueName;
  /** Queries times keys, scaled: [sequences, queries of one, rows]. */
  addScores(queries: RoundedQueries, scale: number): ValueName;
  /** Shares times latents of each block: [blocks of a sequence, queries of all, latent rank]. @param shares as scores */
  addParts(shares: ValueName): ValueName;
}

/** One-element vectors: sequences, and queries of one. */
export interface QueryCounts {
  readonly sequences: ValueName;
  readonly queries: ValueName;
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

/** Rows of queries in INT8. */
export interface RoundedQueries {
  /** UINT8 [queries, width]: 128 is 0. */
  readonly whole: ValueName;
  /** [queries, 1]: of each row, in place of 127 steps. */
  readonly largest: ValueName;
}

/**
 * @param queries [sequences, queries, width]
 * @param shape [queries of all sequences, width]
 */
export function addRoundedQueries(graph: GraphBuilder, queries: ValueName, shape: ValueName): RoundedQueries {
  const rows = graph.reshapeTo(queries, shape);
  const largest = addLargest(graph, graph.op('Abs', [rows]));
  const inSteps = graph.op('Mul', [rows, graph.op('Div', [graph.scalar(latentSteps), largest])]);
  // the product wants unsigned rows; cutting off what is behind the point rounds, since all are positive
  const whole = addCast(graph, graph.op('Add', [inSteps, graph.scalar(offset + 0.5)]), 'uint8');
  return { whole, largest };
}

/**
 * Whole queries times keys, in place of the queries' largest values: [blocks, queries, 256].
 * @param whole [blocks or 1, queries, width]
 */
export function addKeyProducts(
  graph: GraphBuilder,
  { keys, keySteps }: RoundedBlocks,
  whole: ValueName,
  scale: number,
): ValueName {
  const inputs = [whole, keys, graph.scalar(scale / latentSteps), keySteps, graph.scalarByte(offset)];
  return graph.op('MatMulIntegerToFloat', inputs, {}, microsoftDomain);
}

/** Shares of attention in INT8, by blocks of keys. */
export interface RoundedShares {
  /** UINT8 [rows, 256]: 255 is the largest of the row. */
  readonly whole: ValueName;
  /** [rows, 1] */
  readonly largest: ValueName;
}

/** @param shares of whole blocks of keys; a row is a query's of one block */
export function addRoundedShares(graph: GraphBuilder, shares: ValueName): RoundedShares {
  const inBlocks = graph.reshape(shares, [-1, roundedBlock]);
  const largest = addLargest(graph, inBlocks);
  const steps = graph.op('Squeeze', [graph.op('Mul', [largest, graph.scalar(1 / shareSteps)]), graph.ints([1])]);
  const attributes = { axis: intAttribute(0), output_dtype: intAttribute(elementTypes.uint8) };
  return { whole: graph.op('QuantizeLinear', [inBlocks, steps], attributes), largest };
}

/**
 * Shares times values: [blocks, queries, latent rank].
 * @param shares by block: [blocks, queries, 256] and [blocks, queries, 1]
 */
export function addValueProducts(
  graph: GraphBuilder,
  { values, valueSteps }: RoundedBlocks,
  { whole, largest }: RoundedShares,
): ValueName {
  const products = addCast(graph, graph.op('MatMulInteger', [whole, values]), 'float32');
  return graph.op('Mul', [products, graph.op('Mul', [largest, valueSteps])]);
}

/** Of each row, [rows, 1]. */
function addLargest(graph: GraphBuilder, rows: ValueName): ValueName {
  return graph.op('Max', [graph.op('ReduceMax', [rows, graph.ints([1])]), graph.scalar(smallestRounded)]);
}

function addCast(graph: GraphBuilder, value: ValueName, type: 'float32' | 'uint8'): ValueName {
  return graph.op('Cast', [value], { to: intAttribute(elementTypes[type]) });
}
