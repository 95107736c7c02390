import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import {
  addKeyProducts,
  addRoundedShares,
  addValueProducts,
  type QueryCounts,
  type RoundedBlocks,
  type RoundedQueries,
  type RoundedSource,
  roundedBlock,
} from './rounded-products.ts';

/** Made once, in the graph itself. */
export interface PrefixShapes {
  /** One-element vector: rows of all blocks. */
  readonly rows: ValueName;
  /** Shapes, where queries are those of all sequences: [queries, rows], [queries, blocks, 256] and [queries, blocks, 1]. */
  readonly shareRows: ValueName;
  readonly shareBlocks: ValueName;
  readonly shareSizes: ValueName;
  /** Shape: [sequences, queries of one, rows]. */
  readonly scores: ValueName;
}

/** @param keys of the prefix */
export function addPrefixShapes(
  graph: GraphBuilder,
  { sequences, queries }: QueryCounts,
  keys: ValueName,
): PrefixShapes {
  const blocks = graph.dimension(keys, 0);
  const rows = graph.op('Mul', [blocks, graph.ints([roundedBlock])]);
  const all = graph.op('Mul', [sequences, queries]);
  return {
    rows,
    shareRows: graph.shape([all, rows]),
    shareBlocks: graph.shape([all, blocks, roundedBlock]),
    shareSizes: graph.shape([all, blocks, 1]),
    scores: graph.shape([sequences, queries, rows]),
  };
}

/** Attention over a prefix in INT8: the queries of all sequences are rows of one product a block. */
export class PrefixAttention implements RoundedSource {
  readonly rows: ValueName;
  readonly #graph: GraphBuilder;
  readonly #blocks: RoundedBlocks;
  readonly #shapes: PrefixShapes;

  constructor(graph: GraphBuilder, blocks: RoundedBlocks, shapes: PrefixShapes) {
    this.#graph = graph;
    this.#blocks = blocks;
    this.#shapes = shapes;
    this.rows = shapes.rows;
  }

  addScores({ whole, largest }: RoundedQueries, scale: number): ValueName {
    const graph = this.#graph;
    const byBlock = addKeyProducts(graph, this.#blocks, graph.op('Unsqueeze', [whole, graph.ints([0])]), scale);
    const byRow = graph.reshapeTo(graph.transpose(byBlock, [1, 0, 2]), this.#shapes.shareRows);
    return graph.reshapeTo(graph.op('Mul', [byRow, largest]), this.#shapes.scores);
  }

  addParts(shares: ValueName): ValueName {
    const graph = this.#graph;
    const { whole, largest } = addRoundedShares(graph, shares);
    return addValueProducts(graph, this.#blocks, {
      whole: graph.transpose(graph.reshapeTo(whole, this.#shapes.shareBlocks), [1, 0, 2]),
      largest: graph.transpose(graph.reshapeTo(largest, this.#shapes.shareSizes), [1, 0, 2]),
    });
  }
}
