import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import { addAbsorbedQueries, addHeadValues, addQueries, type DownRows } from './absorb.ts';
import type { AttentionContext, AttentionForm, AttentionWeights, KeyShapes } from './attention-parts.ts';
import { addExpandedOr } from './expanded.ts';
import { addLinear } from './linear.ts';
import { addRmsNorm } from './norm.ts';
import { addRotary, softmaxScale } from './rotary.ts';

/** A suffix has a multiple of so many rows. In the fast form only to keep the number of different shapes small. */
export function rowStep(form: AttentionForm): number {
  return form === 'exact' ? 256 : 32;
}

const keyStep = 128;
/**
 * Below this width the step over keys of a product grows with the number of threads, up to three (64 columns or fewer of a
 * thread), so the prefix is summed as the suffix.
 */
const wideRow = 240;
/** Added to the score of a key that does not count: its probability is then 0. */
export const excluded = -1e30;

interface RowCounts {
  /** [prefix rows, width] */
  readonly prefix: ValueName;
  /** [sequences, own rows, width]: of `addNewRows` */
  readonly keys: ValueName;
  /** [sequences]: suffix row of the first row that attends. */
  readonly first: ValueName;
  /** One-element vectors. */
  readonly sequences: ValueName;
  readonly tokens: ValueName;
  readonly queries: ValueName;
}

export function addKeyShapes(graph: GraphBuilder, heads: number, counts: RowCounts): KeyShapes {
  const { prefix, keys, first, sequences, tokens, queries } = counts;
  const prefixRows = graph.dimension(prefix, 0);
  const suffixRows = graph.dimension(keys, 1);
  return {
    mask: addCausalMask(graph, suffixRows, first, tokens),
    prefixRows,
    suffixRows,
    parts: graph.shape([prefixRows, suffixRows]),
    suffixByHead: graph.shape([sequences, tokens, heads, suffixRows]),
    suffixByQuery: graph.shape([sequences, queries, suffixRows]),
  };
}

/**
 * Additive mask [sequences, tokens, 1, suffix rows]: key j of the suffix is visible to row i when j ≤ first + i.
 * @param suffixRows a one-element vector
 */
function addCausalMask(graph: GraphBuilder, suffixRows: ValueName, first: ValueName, tokens: ValueName): ValueName {
  const zero = graph.scalarInt(0);
  const one = graph.scalarInt(1);
  const count = (vector: ValueName): ValueName => graph.op('Squeeze', [vector]);
  const keys = graph.op('Range', [zero, count(suffixRows), one]);
  const steps = graph.op('Range', [zero, count(tokens), one]);
  const rows = graph.op('Add', [graph.reshape(first, [-1, 1]), graph.reshape(steps, [1, -1])]);
  const visible = graph.op('LessOrEqual', [keys, graph.op('Unsqueeze', [rows, graph.ints([2, 3])])]);
  return graph.op('Where', [visible, graph.scalar(0), graph.scalar(excluded)]);
}

/** What attention reads: all of it is one layer's. */
export interface AttentionInputs {
  /** [rows, hidden], normed. */
  readonly hidden: ValueName;
  /** Of `addDownRows`; null: the down-projection of the queries is made here. */
  readonly queryDown: ValueName | null;
  /** [sequences, tokens, width] of `addLatentRows`. */
  readonly newRows: ValueName;
  /** [prefix rows, width] */
  readonly prefix: ValueName;
  /** [sequences, suffix rows, width] */
  readonly suffix: ValueName;
}

/** @returns [rows, hidden] */
export function addAttention(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  weights: AttentionWeights,
  context: AttentionContext,
  inputs: AttentionInputs,
): ValueName {
  const queries = addQueries(graph, config, weights, context, inputs.hidden, inputs.queryDown);
  const { ownRows, write } = context;
  const { suffix, newRows } = inputs;
  const width = latentWidth(config);
  const keys = context.operators.addNewRows(graph, { suffix, ownRows, newRows, write, width });
  const shapes = context.keyShapes(inputs.prefix, keys);
  const addAbsorbed = (part: GraphBuilder): ValueName => {
    const absorbed = addAbsorbedQueries(part, config, form, weights.latentUp, queries);
    const mixed = addMixedLatents(part, config, form, context, {
      queries: absorbed,
      prefix: inputs.prefix,
      keys,
      shapes,
    });
    return addHeadValues(part, config, form, weights.latentUp, mixed);
  };
  const read = { queries, prefix: inputs.prefix, keys, shapes };
  const heads = addExpandedOr(graph, config, weights.expanded, context, read, addAbsorbed);
  return addLinear(graph, heads, weights.output, 'attention_output');
}

interface MixInputs {
  /** [rows, heads · (latent + rope)] */
  readonly queries: ValueName;
  readonly prefix: ValueName;
  /** [sequences, suffix rows, width], new rows in it. */
  readonly keys: ValueName;
  readonly shapes: KeyShapes;
}

/** What is cached of the new rows, normed latent and turned key: [sequences, tokens, width]. */
export function addLatentRows(
  graph: GraphBuilder,
  config: ModelConfig,
  gain: Float32Array,
  context: AttentionContext,
  { latent, key }: DownRows,
): ValueName {
  const { latentRank, ropeWidth } = config;
  const normed = addRmsNorm(graph, latent, gain, config.latentNormEpsilon);
  const perSequence = [context.sequences, context.tokens] as const;
  const turned = addRotary(graph, graph.reshape(key, [...perSequence, ropeWidth]), context.rotary, 1, ropeWidth);
  return graph.concat([graph.reshape(normed, [...perSequence, latentRank]), turned], -1);
}

/** Probabilities over prefix and suffix times the cached rows: [sequences, queries, latent rank]. */
function addMixedLatents(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  context: AttentionContext,
  { queries, prefix, keys, shapes }: MixInputs,
): ValueName {
  const width = latentWidth(config);
  const { operators } = context;
  const scale = softmaxScale(config);
  const { prefixRows, suffixRows } = shapes;

  const perSequence = graph.reshapeTo(queries, context.queryShape);
  const onPrefixKeys = operators.addScores(graph, perSequence, prefix, scale, 2);
  const prefixScores = context.prefixBias === null ? onPrefixKeys : graph.op('Add', [onPrefixKeys, context.prefixBias]);
  const rawScores = operators.addScores(graph, perSequence, keys, scale, 3);
  const masked = graph.op('Add', [graph.reshapeTo(rawScores, shapes.suffixByHead), shapes.mask]);
  const suffixScores = graph.reshapeTo(masked, shapes.suffixByQuery);

  const scores = graph.concat([prefixScores, suffixScores], -1);
  const chances = graph.op('Softmax', [scores], { axis: intAttribute(-1) });
  const [onPrefix = '', onSuffix = ''] = graph.ops('Split', [chances, shapes.parts], 2, { axis: intAttribute(-1) });

  let sum: ValueName;
  if (form === 'exact') {
    const parts = [
      width < wideRow
        ? addPrefixSteps(graph, context, onPrefix, prefix, prefixRows, width)
        : graph.op('Unsqueeze', [graph.op('MatMul', [onPrefix, prefix]), graph.ints([0])]),
      addSuffixSteps(graph, context, onSuffix, keys, suffixRows, width),
    ];
    sum = graph.op('ReduceSum', [graph.concat(parts, 0), graph.ints([0])], { keepdims: intAttribute(0) });
  } else {
    sum = graph.op('Add', [graph.op('MatMul', [onPrefix, prefix]), graph.op('MatMul', [onSuffix, keys])]);
  }
  return graph.op('Slice', [sum, graph.ints([0]), graph.ints([config.latentRank]), graph.ints([-1])]);
}

/**
 * A2 for the prefix: [prefix rows / 128, sequences, queries, width]. The queries of all sequences are rows of one
 * product a step: a product that repeats its right side for each sequence is summed in another order.
 */
function addPrefixSteps(
  graph: GraphBuilder,
  context: AttentionContext,
  chances: ValueName,
  prefix: ValueName,
  prefixRows: ValueName,
  width: number,
): ValueName {
  const steps = graph.op('Div', [prefixRows, graph.ints([keyStep])]);
  const queryRows = graph.op('Mul', [context.sequences, context.queries]);
  const chanceSteps = graph.transpose(graph.reshape(chances, [queryRows, steps, keyStep]), [1, 0, 2]);
  const parts = graph.op('MatMul', [chanceSteps, graph.reshape(prefix, [steps, keyStep, width])]);
  return graph.reshape(parts, [steps, context.sequences, context.queries, width]);
}

/** A2 for the suffix: [suffix rows / 128, sequences, queries, width], one product for each 128 keys. */
function addSuffixSteps(
  graph: GraphBuilder,
  context: AttentionContext,
  chances: ValueName,
  keys: ValueName,
  keyRows: ValueName,
  width: number,
): ValueName {
  const steps = graph.op('Div', [keyRows, graph.ints([keyStep])]);
  const chanceSteps = graph.reshape(chances, [context.sequences, context.queries, steps, keyStep]);
  const keySteps = graph.reshape(keys, [context.sequences, steps, keyStep, width]);
  const parts = graph.op('MatMul', [graph.transpose(chanceSteps, [0, 2, 1, 3]), keySteps]);
  return graph.transpose(parts, [1, 0, 2, 3]);
}
