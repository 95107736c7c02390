import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import type { ModelConfig } from '../model-config.ts';
import { excluded } from './causal-mask.ts';
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

/** Graph inputs, equal for all layers. */
export interface OwnIndex {
  /** [own blocks] int64: the sequence that each block belongs to. */
  readonly owners: ValueName;
  /** [own blocks] int64: its place among those of all sequences, sequence · places + place. */
  readonly cells: ValueName;
  /** [sequences, places] int64: the block that a sequence has at each place; the number of blocks where it has none. */
  readonly places: ValueName;
}

interface OwnShapes {
  readonly rows: ValueName;
  /** [1, queries of a sequence, 256]: scores of a block that is not there, and [1, queries, latent rank]: its sums. */
  readonly noScores: ValueName;
  readonly noSums: ValueName;
  /** Shapes, where queries are those of one sequence: [sequences, queries, width] and [sequences, queries, 1]. */
  readonly queries: ValueName;
  readonly largest: ValueName;
  /** [sequences, queries, rows of all places] */
  readonly scores: ValueName;
  /** [sequences, queries, places, 256] and [sequences, queries, places, 1] */
  readonly shareBlocks: ValueName;
  readonly shareSizes: ValueName;
  /** [sequences · places, queries, 256] and [sequences · places, queries, 1] */
  readonly shareCells: ValueName;
  readonly sizeCells: ValueName;
  /** [places, queries of all sequences, latent rank] */
  readonly sums: ValueName;
}

/**
 * Attention over complete blocks of own rows in INT8. The blocks of all sequences of a run lie one behind the other in
 * any order, so nothing is copied or padded for a sequence that has fewer: each block is multiplied with the queries of
 * the sequence it belongs to. Products are put into the order of each sequence's rows; a place without a block is
 * masked. What a block contributes has the same bits as if it were one of the prefix.
 *
 * Its shapes are made in the branch of each layer: only runs with such blocks pay for them.
 */
export class OwnAttention implements RoundedSource {
  readonly rows: ValueName;
  readonly #graph: GraphBuilder;
  readonly #blocks: RoundedBlocks;
  readonly #index: OwnIndex;
  readonly #shapes: OwnShapes;

  constructor(
    graph: GraphBuilder,
    config: Pick<ModelConfig, 'latentRank'>,
    counts: QueryCounts,
    blocks: RoundedBlocks,
    index: OwnIndex,
  ) {
    this.#graph = graph;
    this.#blocks = blocks;
    this.#index = index;
    this.#shapes = addOwnShapes(graph, config, counts, index);
    this.rows = this.#shapes.rows;
  }

  addScores({ whole, largest }: RoundedQueries, scale: number): ValueName {
    const graph = this.#graph;
    const shapes = this.#shapes;
    const ofOwner = (values: ValueName, shape: ValueName): ValueName =>
      this.#gather(graph.reshapeTo(values, shape), this.#index.owners);
    const products = addKeyProducts(graph, this.#blocks, ofOwner(whole, shapes.queries), scale);
    const byBlock = graph.op('Mul', [products, ofOwner(largest, shapes.largest)]);
    const byPlace = this.#gather(graph.concat([byBlock, shapes.noScores], 0), this.#index.places);
    return graph.reshapeTo(graph.transpose(byPlace, [0, 2, 1, 3]), shapes.scores);
  }

  addParts(shares: ValueName): ValueName {
    const graph = this.#graph;
    const shapes = this.#shapes;
    const { whole, largest } = addRoundedShares(graph, shares);
    const ofBlock = (values: ValueName, byQuery: ValueName, byCell: ValueName): ValueName => {
      const bySequence = graph.transpose(graph.reshapeTo(values, byQuery), [0, 2, 1, 3]);
      return this.#gather(graph.reshapeTo(bySequence, byCell), this.#index.cells);
    };
    const byBlock = addValueProducts(graph, this.#blocks, {
      whole: ofBlock(whole, shapes.shareBlocks, shapes.shareCells),
      largest: ofBlock(largest, shapes.shareSizes, shapes.sizeCells),
    });
    const byPlace = this.#gather(
      graph.concat([byBlock, shapes.noSums], 0),
      graph.transpose(this.#index.places, [1, 0]),
    );
    return graph.reshapeTo(byPlace, shapes.sums);
  }

  #gather(values: ValueName, indices: ValueName): ValueName {
    return this.#graph.op('Gather', [values, indices], { axis: intAttribute(0) });
  }
}

function addOwnShapes(
  graph: GraphBuilder,
  { latentRank }: Pick<ModelConfig, 'latentRank'>,
  { sequences, queries }: QueryCounts,
  index: OwnIndex,
): OwnShapes {
  const places = graph.dimension(index.places, 1);
  const rows = graph.op('Mul', [places, graph.ints([roundedBlock])]);
  const cells = graph.op('Mul', [sequences, places]);
  const fill = (value: number, shape: ValueName): ValueName => graph.op('Expand', [graph.scalar(value), shape]);
  return {
    rows,
    noScores: fill(excluded, graph.shape([1, queries, roundedBlock])),
    noSums: fill(0, graph.shape([1, queries, latentRank])),
    queries: graph.shape([sequences, queries, -1]),
    largest: graph.shape([sequences, queries, 1]),
    scores: graph.shape([sequences, queries, rows]),
    shareBlocks: graph.shape([sequences, queries, places, roundedBlock]),
    shareSizes: graph.shape([sequences, queries, places, 1]),
    shareCells: graph.shape([cells, queries, roundedBlock]),
    sizeCells: graph.shape([cells, queries, 1]),
    sums: graph.shape([places, graph.op('Mul', [sequences, queries]), latentRank]),
  };
}
