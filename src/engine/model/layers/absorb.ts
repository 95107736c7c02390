import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import type { ModelConfig } from '../model-config.ts';
import type { AbsorbedWeights, AttentionContext, AttentionForm, AttentionWeights } from './attention-parts.ts';
import { addLinear, type LinearWeight, type Matrix, stackRows } from './linear.ts';
import { addRmsNorm } from './norm.ts';
import { addRotary } from './rotary.ts';

/** @param latentUp [heads · (nope + value), latent] */
export function splitLatentUp(config: ModelConfig, latentUp: Matrix): AbsorbedWeights {
  const { heads, nopeWidth, valueWidth, latentRank } = config;
  const headRows = nopeWidth + valueWidth;
  const keys = selectHeadRows(latentUp, heads, headRows, 0, nopeWidth);
  const values = selectHeadRows(latentUp, heads, headRows, nopeWidth, valueWidth);
  return { keys, values: transposeEach(values, heads, valueWidth, latentRank) };
}

/** Results of the down-projections, neither normed nor turned: [rows, width] each. */
export interface DownRows {
  /** null: queries are projected directly, or the down-projection is not made here. */
  readonly query: ValueName | null;
  readonly latent: ValueName;
  readonly key: ValueName;
}

/** Queries and latents read the same rows, so that one product makes both. */
export function addDownRows(
  graph: GraphBuilder,
  { latentRank, ropeWidth }: ModelConfig,
  latentDown: LinearWeight,
  queryDown: LinearWeight | null,
  input: ValueName,
): DownRows {
  const stacked = queryDown === null ? null : stackRows(queryDown, latentDown);
  if (queryDown !== null && stacked !== null) {
    const both = addLinear(graph, input, stacked, 'query_latent_down');
    const [query = '', latent = '', key = ''] = graph.splitLast(both, [queryDown.rows, latentRank, ropeWidth]);
    return { query, latent, key };
  }
  const query = queryDown === null ? null : addLinear(graph, input, queryDown, 'query_down');
  const row = addLinear(graph, input, latentDown, 'latent_down');
  const [latent = '', key = ''] = graph.splitLast(row, [latentRank, ropeWidth]);
  return { query, latent, key };
}

export interface QueryParts {
  /** [rows, heads, nope] */
  readonly nope: ValueName;
  /** [sequences, tokens, heads · rope], turned. */
  readonly rope: ValueName;
}

/**
 * Queries of all heads, in two parts.
 * @param down of `addDownRows`; null: made here
 */
export function addQueries(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: AttentionWeights,
  context: AttentionContext,
  input: ValueName,
  down: ValueName | null,
): QueryParts {
  const { heads, nopeWidth, ropeWidth } = config;
  const compressed = addCompressed(graph, config, weights, input, down);
  const projected = addLinear(graph, compressed, weights.queryUp, 'query_up');
  const perHead = graph.reshape(projected, [-1, heads, nopeWidth + ropeWidth]);
  const [nope = '', rope = ''] = graph.splitLast(perHead, [nopeWidth, ropeWidth]);
  const flatRope = graph.reshape(rope, [context.sequences, context.tokens, heads * ropeWidth]);
  return { nope, rope: addRotary(graph, flatRope, context.rotary, heads, ropeWidth) };
}

/** [rows, heads · (latent + rope)]: query times the key part of the latent's up-projection, then the rotary query. */
export function addAbsorbedQueries(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  latentUp: AbsorbedWeights,
  { nope, rope }: QueryParts,
): ValueName {
  const { heads, nopeWidth, ropeWidth, latentRank } = config;
  const up = graph.weight('latent_key_up', latentUp.keys, [heads, nopeWidth, latentRank]);
  const absorbed = addPerHead(graph, form, nope, up, heads, nopeWidth);
  return graph.concat([absorbed, graph.reshape(rope, [-1, heads, ropeWidth])], -1);
}

function addCompressed(
  graph: GraphBuilder,
  config: ModelConfig,
  { queryDown }: AttentionWeights,
  input: ValueName,
  down: ValueName | null,
): ValueName {
  if (queryDown === null) return input;
  const row = down ?? addLinear(graph, input, queryDown.weight, 'query_down');
  return addRmsNorm(graph, row, queryDown.gain, config.latentNormEpsilon);
}

/** [rows, heads · value width] from mixed latents [sequences, queries, latent rank]. */
export function addHeadValues(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  latentUp: AbsorbedWeights,
  mixed: ValueName,
): ValueName {
  const { heads, latentRank, valueWidth } = config;
  const up = graph.weight('latent_value_up', latentUp.values, [heads, latentRank, valueWidth]);
  const values = addPerHead(graph, form, graph.reshape(mixed, [-1, heads, latentRank]), up, heads, latentRank);
  return graph.reshape(values, [-1, heads * valueWidth]);
}

/** A1: x [rows, heads, in] times one matrix a head [heads, in, out] → [rows, heads, out]. */
function addPerHead(
  graph: GraphBuilder,
  form: AttentionForm,
  input: ValueName,
  weight: ValueName,
  heads: number,
  inWidth: number,
): ValueName {
  if (form === 'fast') {
    return graph.transpose(graph.op('MatMul', [graph.transpose(input, [1, 0, 2]), weight]), [1, 0, 2]);
  }
  const padded = graph.concat([input, graph.zeros([1, heads, inWidth])], 0);
  const byHead = graph.op('MatMul', [graph.transpose(padded, [1, 0, 2]), weight]);
  return graph.op('Slice', [graph.transpose(byHead, [1, 0, 2]), graph.ints([0]), graph.ints([-1]), graph.ints([0])]);
}

/** Rows [offset, offset + count) of every head's block of `headRows` rows. */
function selectHeadRows(matrix: Matrix, heads: number, headRows: number, offset: number, count: number): Float32Array {
  const selected = new Float32Array(heads * count * matrix.columns);
  for (let head = 0; head < heads; head++) {
    const start = (head * headRows + offset) * matrix.columns;
    selected.set(matrix.values.subarray(start, start + count * matrix.columns), head * count * matrix.columns);
  }
  return selected;
}

/** [total, rows, columns] → [total, columns, rows]. */
function transposeEach(values: Float32Array, total: number, rows: number, columns: number): Float32Array {
  const transposed = new Float32Array(values.length);
  for (let index = 0; index < total; index++) {
    const base = index * rows * columns;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        transposed[base + column * rows + row] = values[base + row * columns + column]!;
      }
    }
  }
  return transposed;
}
