import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import type { QueryParts } from './absorb.ts';
import type { AttentionContext, KeyShapes } from './attention-parts.ts';
import { addLinear, type LinearWeight } from './linear.ts';
import { softmaxScale } from './rotary.ts';

/** From so many new rows of one sequence, expanding the latents of all its keys costs less than it saves. */
export const expandedRows = 512;
/** Heads whose scores are in memory at a time. */
export const headsAtOnce = 2;

/** Only own scores are masked once the prefix has more than so many times the rows that a run reads of its own. */
const farTimes = 3;
/** As the end of a slice: behind any element. */
const endOfAxis = 2 ** 31;

interface ExpandedInputs {
  readonly queries: QueryParts;
  /** [prefix rows, width] */
  readonly prefix: ValueName;
  /** [1, suffix rows, width], new rows in it. */
  readonly keys: ValueName;
  readonly shapes: KeyShapes;
}

/** [rows, heads · value]: with expanded keys and values where that pays, otherwise what `addAbsorbed` gives. */
export function addExpandedOr(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: () => readonly LinearWeight[],
  context: AttentionContext,
  inputs: ExpandedInputs,
  addAbsorbed: (part: GraphBuilder) => ValueName,
): ValueName {
  if (context.isExpanded === null) return addAbsorbed(graph);
  const width = config.heads * config.valueWidth;
  const expanded = graph.branch('expanded');
  expanded.output(addExpanded(expanded, config, weights(), context, inputs), 'float32', ['rows', width]);
  const absorbed = graph.branch('absorbed');
  absorbed.output(addAbsorbed(absorbed), 'float32', ['rows', width]);
  return graph.choose(context.isExpanded, expanded, absorbed, 1)[0] ?? '';
}

/**
 * Are keys and values of each head computed? In the exact form the caller says so, since a row must always be computed
 * alike: rows of a prompt's whole blocks are, others are not. In the fast form a long run of one sequence is.
 * @param expand [1] int64, of the exact form; null: never; undefined: the fast form
 * @returns bool [1]; null: never
 */
export function addIsExpanded(
  graph: GraphBuilder,
  expand: ValueName | null | undefined,
  tokens: ValueName,
  sequences: ValueName,
): ValueName | null {
  if (expand === null) return null;
  if (expand !== undefined) return graph.op('Greater', [expand, graph.ints([0])]);
  const isLong = graph.op('GreaterOrEqual', [tokens, graph.ints([expandedRows])]);
  return graph.op('And', [isLong, graph.op('Equal', [sequences, graph.ints([1])])]);
}

/**
 * Attention with keys [nope | rope] and values of each head, computed anew from all latents: scores of nope + rope
 * wide rows in place of latent + rope wide ones, values of value wide rows in place of latent wide ones.
 */
function addExpanded(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: readonly LinearWeight[],
  context: AttentionContext,
  { queries, prefix, keys, shapes }: ExpandedInputs,
): ValueName {
  const { heads, nopeWidth, ropeWidth, latentRank } = config;
  const rows = graph.concat([prefix, graph.reshape(keys, [-1, latentWidth(config)])], 0);
  const [latents = '', ropeKeys = ''] = graph.splitLast(rows, [latentRank, ropeWidth]);
  const mask = addMask(graph, context, shapes);
  const rope = graph.reshape(queries.rope, [-1, heads, ropeWidth]);
  const byHead = graph.transpose(graph.concat([queries.nope, rope], -1), [1, 0, 2]);
  const groups = weights.map((weight, group) => {
    const first = group * headsAtOnce;
    const end = Math.min(heads, first + headsAtOnce);
    const own = graph.op('Slice', [byHead, graph.ints([first]), graph.ints([end]), graph.ints([0])]);
    const expanded = graph.reshape(addLinear(graph, latents, weight, 'latent_up'), [
      -1,
      end - first,
      nopeWidth + config.valueWidth,
    ]);
    return addGroup(graph, config, context, { queries: own, expanded, ropeKeys, mask, heads: end - first });
  });
  return groups.length === 1 ? (groups[0] ?? '') : graph.concat(groups, -1);
}

interface GroupInputs {
  /** [heads, rows, nope + rope] */
  readonly queries: ValueName;
  /** [keys, heads, nope + value] */
  readonly expanded: ValueName;
  /** [keys, rope] */
  readonly ropeKeys: ValueName;
  readonly mask: Mask;
  readonly heads: number;
}

/** [rows, heads of the group · value] */
function addGroup(graph: GraphBuilder, config: ModelConfig, context: AttentionContext, inputs: GroupInputs): ValueName {
  const { nopeWidth, ropeWidth, valueWidth } = config;
  const { heads } = inputs;
  const [nope = '', values = ''] = graph.splitLast(inputs.expanded, [nopeWidth, valueWidth]);
  const total = graph.dimension(inputs.ropeKeys, 0);
  const ropes = graph.op('Expand', [
    graph.reshape(inputs.ropeKeys, [-1, 1, ropeWidth]),
    graph.shape([total, heads, ropeWidth]),
  ]);
  const keys = graph.concat([nope, ropes], -1);
  const mix = (stem: string, addMasked: (part: GraphBuilder, scores: ValueName) => ValueName): GraphBuilder => {
    const part = graph.branch(stem);
    const scores = context.operators.addScores(
      part,
      inputs.queries,
      part.transpose(keys, [1, 0, 2]),
      softmaxScale(config),
      3,
    );
    const chances = part.op('Softmax', [addMasked(part, scores)], { axis: intAttribute(-1) });
    const mixed = part.op('MatMul', [chances, part.transpose(values, [1, 0, 2])]);
    part.output(mixed, 'float32', [heads, 'rows', valueWidth]);
    return part;
  };
  const [mixed = ''] = graph.choose(
    inputs.mask.isFar,
    mix('far', (part, scores) => addOwnMask(part, scores, inputs)),
    mix('near', (part, scores) => part.op('Add', [scores, inputs.mask.bias])),
    1,
  );
  return graph.reshape(graph.transpose(mixed, [1, 0, 2]), [-1, heads * valueWidth]);
}

interface Mask {
  /** bool [1]: there are far more keys than are masked. */
  readonly isFar: ValueName;
  /** Added to scores: [rows, keys], far only [rows, suffix rows], since all of the prefix is visible. */
  readonly bias: ValueName;
  /** A one-element vector. */
  readonly prefixRows: ValueName;
}

function addMask(graph: GraphBuilder, context: AttentionContext, { mask, prefixRows, suffixRows }: KeyShapes): Mask {
  const isFar = graph.op('Greater', [prefixRows, graph.op('Mul', [suffixRows, graph.ints([farTimes])])]);
  const openRows = graph.op('Where', [isFar, graph.ints([0]), prefixRows]);
  const open = graph.op('Expand', [graph.scalar(0), graph.shape([context.tokens, openRows])]);
  const own = graph.reshape(mask, [context.tokens, -1]);
  return { isFar, bias: graph.concat([open, own], -1), prefixRows };
}

/**
 * Scores of the suffix are taken out, masked and written back. Far behind the beginning that is less than one more walk
 * over all scores, though it is three over its own and two of them by one thread.
 * @param scores [heads, rows, keys]
 */
function addOwnMask(graph: GraphBuilder, scores: ValueName, { mask, heads }: GroupInputs): ValueName {
  // of one size, or they would be written into a copy
  graph.describe(scores, 'float32', [heads, 'expanded_rows', 'expanded_keys']);
  const own = graph.op('Slice', [scores, mask.prefixRows, graph.ints([endOfAxis]), graph.ints([2])]);
  const first = graph.op('Expand', [mask.prefixRows, graph.ints([heads])]);
  return graph.op('TensorScatter', [scores, graph.op('Add', [own, mask.bias]), first], { axis: intAttribute(2) });
}
