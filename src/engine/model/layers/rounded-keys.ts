import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import type { OwnIndex } from './rounded-own.ts';
import { addPrefixShapes, type PrefixShapes } from './rounded-prefix.ts';
import type { QueryCounts, RoundedBlocks } from './rounded-products.ts';

/** Whole blocks that rows of answers read in INT8: those of the prefix, and of each sequence's own. */
export interface RoundedKeys {
  readonly prefix: RoundedBlocks;
  readonly own: RoundedBlocks;
}

/** What all layers read them by: made once, in the graph itself. */
export interface RoundedShapes {
  readonly prefix: PrefixShapes;
  readonly own: OwnIndex;
  /** bool [1]: there are blocks at all, of the prefix, of sequences' own. */
  readonly isRounded: ValueName;
  readonly hasPrefix: ValueName;
  readonly hasOwn: ValueName;
  /** Shapes: [queries of all sequences, width] and [sequences, queries of one, latent rank]. */
  readonly queryRows: ValueName;
  readonly sums: ValueName;
}

/** @param keys of the prefix */
export function addRoundedShapes(
  graph: GraphBuilder,
  config: Pick<ModelConfig, 'latentRank' | 'ropeWidth'>,
  { sequences, queries }: QueryCounts,
  keys: ValueName,
  own: OwnIndex,
): RoundedShapes {
  const prefix = addPrefixShapes(graph, { sequences, queries }, keys);
  const isSome = (total: ValueName): ValueName => graph.op('Greater', [total, graph.ints([0])]);
  const [hasPrefix, hasOwn] = [isSome(prefix.rows), isSome(graph.op('Size', [own.owners]))];
  return {
    prefix,
    own,
    isRounded: graph.op('Or', [hasPrefix, hasOwn]),
    hasPrefix,
    hasOwn,
    queryRows: graph.shape([graph.op('Mul', [sequences, queries]), latentWidth(config)]),
    sums: graph.shape([sequences, queries, config.latentRank]),
  };
}
