import type { GraphBuilder, ValueName } from '../graph-builder.ts';

/** Who computes a graph: an execution provider of ONNX Runtime. */
export type Provider = 'cpu' | 'webgpu' | 'cuda';

export interface SuffixRows {
  /** [sequences, suffix rows, width]; where `cutsSuffix` the rows of all sequences one behind the other, [rows, width]. */
  readonly suffix: ValueName;
  /** [sequences, rows] int64: which of them are read, where `cutsSuffix`; otherwise null: all are. */
  readonly ownRows: ValueName | null;
  /** [sequences, tokens, width] */
  readonly newRows: ValueName;
  /** [sequences]: the first new row's among those that are read */
  readonly write: ValueName;
  readonly width: number;
}

/**
 * What a graph says in another way for each provider, because one has an operator that the other lacks. All else is the
 * same graph: the runtime leaves to the CPU what a device has no kernel for.
 */
export interface ProviderOperators {
  /**
   * False: arrays without rows end the process, so an empty prefix is one row that `prefixBias` excludes, and there are
   * always logits.
   */
  readonly allowsEmpty: boolean;
  /** Long prefills expand keys and values of each head, which masks no empty prefix. */
  readonly expands: boolean;
  /** Of the graph. */
  readonly blockLevel: 0 | 4;
  /**
   * queries · keysᵀ · scale
   * @param queries [rows, width], or [sequences, rows, width] when there are keys of each
   * @param keys [rows, width], or [sequences, rows, width]
   */
  addScores(graph: GraphBuilder, queries: ValueName, keys: ValueName, scale: number, rank: 2 | 3): ValueName;
  /** Of the suffix only some rows are read: there is an input that says which. */
  readonly cutsSuffix: boolean;
  /** What is read of the suffix with the new rows in it: [sequences, rows, width]. */
  addNewRows(graph: GraphBuilder, rows: SuffixRows): ValueName;
}
