import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import type { AttentionContext, AttentionForm, KeyShapes } from './attention-parts.ts';
import { softmaxScale } from './rotary.ts';
import { addRoundedScores, addRoundedSum, type RoundedPrefix } from './rounded-prefix.ts';

const keyStep = 128;
/**
 * Below this width the step over keys of a product grows with the number of threads, up to three (64 columns or fewer of a
 * thread), so the prefix is summed as the suffix.
 */
const wideRow = 240;

export interface MixInputs {
  /** [rows, heads · (latent + rope)] */
  readonly queries: ValueName;
  readonly prefix: ValueName;
  /** The prefix where it is read in INT8 and `prefix` has no rows; null: never. */
  readonly rounded: RoundedPrefix | null;
  /** [sequences, suffix rows, width], new rows in it. */
  readonly keys: ValueName;
  readonly shapes: KeyShapes;
}

/** Probabilities over prefix and suffix times the cached rows: [sequences, queries, latent rank]. */
export function addMixedLatents(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  context: AttentionContext,
  inputs: MixInputs,
): ValueName {
  const { rounded } = inputs;
  if (rounded === null) return addMixed(graph, config, form, context, inputs, null);
  const dims = ['sequences', 'queries', config.latentRank];
  const inInt8 = graph.branch('rounded');
  inInt8.output(addMixed(inInt8, config, form, context, inputs, rounded), 'float32', dims);
  const inFloat = graph.branch('unrounded');
  inFloat.output(addMixed(inFloat, config, form, context, inputs, null), 'float32', dims);
  return graph.choose(rounded.shapes.isRounded, inInt8, inFloat, 1)[0] ?? '';
}

function addMixed(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  context: AttentionContext,
  { queries, prefix, keys, shapes }: MixInputs,
  rounded: RoundedPrefix | null,
): ValueName {
  const { operators } = context;
  const scale = softmaxScale(config);
  const perSequence = graph.reshapeTo(queries, context.queryShape);
  const prefixScores =
    rounded === null
      ? addPrefixScores(graph, context, perSequence, prefix, scale)
      : addRoundedScores(graph, rounded, perSequence, scale);
  const rawScores = operators.addScores(graph, perSequence, keys, scale, 3);
  const masked = graph.op('Add', [graph.reshapeTo(rawScores, shapes.suffixByHead), shapes.mask]);
  const suffixScores = graph.reshapeTo(masked, shapes.suffixByQuery);

  const scores = graph.concat([prefixScores, suffixScores], -1);
  const chances = graph.op('Softmax', [scores], { axis: intAttribute(-1) });
  const parts = rounded === null ? shapes.parts : rounded.shapes.parts;
  const [onPrefix = '', onSuffix = ''] = graph.ops('Split', [chances, parts], 2, { axis: intAttribute(-1) });

  const cut = (sum: ValueName): ValueName =>
    graph.op('Slice', [sum, graph.ints([0]), graph.ints([config.latentRank]), graph.ints([-1])]);
  const suffixSteps = (): ValueName =>
    addSuffixSteps(graph, context, onSuffix, keys, shapes.suffixRows, latentWidth(config));
  if (rounded !== null) {
    const own = form === 'exact' ? addSum(graph, suffixSteps()) : graph.op('MatMul', [onSuffix, keys]);
    return graph.op('Add', [addRoundedSum(graph, rounded, onPrefix), cut(own)]);
  }
  if (form === 'exact') {
    const prefixSteps = addPrefixSteps(graph, config, context, onPrefix, prefix, shapes.prefixRows);
    return cut(addSum(graph, graph.concat([prefixSteps, suffixSteps()], 0)));
  }
  return cut(graph.op('Add', [graph.op('MatMul', [onPrefix, prefix]), graph.op('MatMul', [onSuffix, keys])]));
}

function addPrefixScores(
  graph: GraphBuilder,
  { operators, prefixBias }: AttentionContext,
  queries: ValueName,
  prefix: ValueName,
  scale: number,
): ValueName {
  const scores = operators.addScores(graph, queries, prefix, scale, 2);
  return prefixBias === null ? scores : graph.op('Add', [scores, prefixBias]);
}

/** [steps, …] → […] */
function addSum(graph: GraphBuilder, steps: ValueName): ValueName {
  return graph.op('ReduceSum', [steps, graph.ints([0])], { keepdims: intAttribute(0) });
}

/**
 * A2 for the prefix: [prefix rows / 128 or 1, sequences, queries, width]. The queries of all sequences are rows of one
 * product a step: a product that repeats its right side for each sequence is summed in another order.
 */
function addPrefixSteps(
  graph: GraphBuilder,
  config: ModelConfig,
  context: AttentionContext,
  chances: ValueName,
  prefix: ValueName,
  prefixRows: ValueName,
): ValueName {
  const width = latentWidth(config);
  if (width >= wideRow) return graph.op('Unsqueeze', [graph.op('MatMul', [chances, prefix]), graph.ints([0])]);
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
