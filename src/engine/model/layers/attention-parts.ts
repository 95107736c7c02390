import type { ValueName } from '../graph-builder.ts';
import type { ProviderOperators } from '../operators/provider-operators.ts';
import type { LinearWeight } from './linear.ts';
import type { RotaryInputs } from './rotary.ts';
import type { RoundedShapes } from './rounded-keys.ts';

/**
 * Multi-head latent attention in absorbed form: keys and values of all heads are one cached row, [latent | rotary key],
 * so heads become rows of two matrix products. In the `exact` form three things keep the bits of a row the same for
 * every chunking, every neighbour in the run and every border between prefix and suffix:
 *  A1 a zero row behind the queries of the per-head products, whose kernel differs for a single row;
 *  A2 suffix values summed in steps of 128 keys, the step in which a product over the prefix is summed;
 *  A3 prefix and suffix in multiples of 256 rows, the rest masked.
 * Where blocks are read in INT8 (`rounded-products.ts`), a row reads every whole block before its own so, whether it is
 * the prefix's or the sequence's: it then has the same bits wherever the border between the two is.
 * Rows of a prompt's whole blocks are computed with keys and values of each head instead (`expanded.ts`), at least 64 in
 * a run: their sums do not depend on the run either, but are others than those of the absorbed form. So these rows are
 * computed so always and everywhere, and no others ever.
 * The `fast` form leaves all that out: the same sums in another order, a few per cent to a third faster. There any run
 * of many rows of one sequence computes keys and values of each head.
 */
export type AttentionForm = 'exact' | 'fast';

/**
 * The up-projection of the latents, taken apart by heads and absorbed: its key half into the queries, its value half
 * behind the mixed latents. Float32 in every precision: one product for all heads. MatMulNBits has two-dimensional
 * weights, and with a product of its own for each head the calls cost more than reading four times the bytes.
 */
export interface AbsorbedWeights {
  /** [heads, nope, latent] */
  readonly keys: Float32Array;
  /** [heads, latent, value] */
  readonly values: Float32Array;
}

/** Of the rows that are cached. */
export interface LatentWeights {
  readonly latentDown: LinearWeight;
  readonly latentGain: Float32Array;
}

export interface AttentionWeights {
  /** null: queries are projected directly by `queryUp`. */
  readonly queryDown: { readonly weight: LinearWeight; readonly gain: Float32Array } | null;
  readonly queryUp: LinearWeight;
  readonly latentUp: AbsorbedWeights;
  /**
   * The up-projection as it is stored, by groups of heads: [heads of a group · (nope + value), latent] each. Made when it
   * is asked for: devices do not.
   */
  readonly expanded: () => readonly LinearWeight[];
  readonly output: LinearWeight;
}

/**
 * What follows from the numbers of rows. Made in the graph itself: in the branches of each layer it would be made again
 * and again.
 */
export interface KeyShapes {
  /** Of `addCausalMask`. */
  readonly mask: ValueName;
  /** One-element vectors. */
  readonly prefixRows: ValueName;
  readonly suffixRows: ValueName;
  /** [prefix rows, suffix rows] */
  readonly parts: ValueName;
  /** Shapes: [sequences, tokens, heads, suffix rows] and [sequences, queries, suffix rows]. */
  readonly suffixByHead: ValueName;
  readonly suffixByQuery: ValueName;
}

/** Values that all layers share. */
export interface AttentionContext {
  /** One-element vectors: sequences, tokens a sequence, tokens · heads. */
  readonly sequences: ValueName;
  readonly tokens: ValueName;
  readonly queries: ValueName;
  /** [sequences, queries, latent width], as a shape. */
  readonly queryShape: ValueName;
  /** The same for all layers, made once. */
  keyShapes(prefix: ValueName, keys: ValueName): KeyShapes;
  /** The same for all layers, made once. @param keys of the prefix, in INT8 */
  roundedShapes(keys: ValueName): RoundedShapes;
  /** [sequences]: the first new row's among the suffix rows that are read. */
  readonly write: ValueName;
  /** Of `SuffixRows.ownRows`. */
  readonly ownRows: ValueName | null;
  readonly rotary: RotaryInputs;
  readonly operators: ProviderOperators;
  /** bool [1]: keys and values of each head are computed; null: never. */
  readonly isExpanded: ValueName | null;
  /** Added to all scores over the prefix; null: nothing. */
  readonly prefixBias: ValueName | null;
}
