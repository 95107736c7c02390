import { type GraphBuilder, intAttribute, type ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import type { AttentionContext, AttentionForm, KeyShapes } from './attention-parts.ts';
import { softmaxScale } from './rotary.ts';
import type { RoundedKeys, RoundedShapes } from './rounded-keys.ts';
import { OwnAttention } from './rounded-own.ts';
import { PrefixAttention } from './rounded-prefix.ts';
import { addRoundedQueries, type RoundedSource } from './rounded-products.ts';

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
  /** What is read in INT8, and `prefix` has no rows then; null: never. */
  readonly rounded: RoundedKeys | null;
  /** [sequences, suffix rows, width], new rows in it: behind all blocks that are read in INT8. */
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
  const addFloat: Adding = (part) => addMixed(part, config, form, context, inputs);
  if (rounded === null) return addFloat(graph);
  const shapes = context.roundedShapes(rounded.prefix.keys);
  const ofPrefix = (part: GraphBuilder) => new PrefixAttention(part, rounded.prefix, shapes.prefix);
  const ofOwn = (part: GraphBuilder) => new OwnAttention(part, config, context, rounded.own, shapes.own);
  const addRounded =
    (...open: readonly ((part: GraphBuilder) => RoundedSource)[]): Adding =>
    (part) => {
      const sources = open.map((source) => source(part));
      return addRoundedMixed(part, config, form, context, inputs, { ...shapes, sources });
    };
  const choose =
    (condition: ValueName, whenTrue: Adding, whenFalse: Adding): Adding =>
    (part) => {
      const [branch, other] = [part.branch('mixed'), part.branch('mixed')];
      const dims = ['sequences', 'queries', config.latentRank];
      branch.output(whenTrue(branch), 'float32', dims);
      other.output(whenFalse(other), 'float32', dims);
      return part.choose(condition, branch, other, 1)[0] ?? '';
    };
  // each level costs a run that goes through it some microseconds a layer: short prompts go through one
  const withOwn = choose(shapes.hasPrefix, addRounded(ofPrefix, ofOwn), addRounded(ofOwn));
  return choose(shapes.isRounded, choose(shapes.hasOwn, withOwn, addRounded(ofPrefix)), addFloat)(graph);
}

type Adding = (part: GraphBuilder) => ValueName;

function addMixed(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  context: AttentionContext,
  inputs: MixInputs,
): ValueName {
  const { prefix, keys, shapes } = inputs;
  const scale = softmaxScale(config);
  const queries = graph.reshapeTo(inputs.queries, context.queryShape);
  const prefixScores = addFloatScores(graph, context, queries, prefix, scale);
  const suffixScores = addSuffixScores(graph, context, queries, inputs, scale);
  const [onPrefix = '', onSuffix = ''] = addShares(graph, [prefixScores, suffixScores], shapes.parts);
  if (form === 'exact') {
    const prefixSteps = addPrefixSteps(graph, config, context, onPrefix, prefix, shapes.prefixRows);
    const suffixSteps = addSuffixSteps(graph, context, onSuffix, keys, shapes.suffixRows, latentWidth(config));
    return cutLatents(graph, config, addSum(graph, graph.concat([prefixSteps, suffixSteps], 0)));
  }
  const sum = graph.op('Add', [graph.op('MatMul', [onPrefix, prefix]), graph.op('MatMul', [onSuffix, keys])]);
  return cutLatents(graph, config, sum);
}

/** The same over whole blocks in INT8, and what of the suffix is behind them. */
function addRoundedMixed(
  graph: GraphBuilder,
  config: ModelConfig,
  form: AttentionForm,
  context: AttentionContext,
  inputs: MixInputs,
  {
    queryRows,
    sums,
    sources,
  }: Pick<RoundedShapes, 'queryRows' | 'sums'> & { readonly sources: readonly RoundedSource[] },
): ValueName {
  const { keys, shapes } = inputs;
  const scale = softmaxScale(config);
  const queries = graph.reshapeTo(inputs.queries, context.queryShape);
  const rounded = addRoundedQueries(graph, queries, queryRows);
  const scores = [
    ...sources.map((source) => source.addScores(rounded, scale)),
    addSuffixScores(graph, context, queries, inputs, scale),
  ];
  const rows = graph.concat([...sources.map((source) => source.rows), shapes.suffixRows], 0);
  const shares = addShares(graph, scores, rows);
  const parts = sources.map((source, index) => source.addParts(shares[index] ?? ''));
  const onSuffix = shares.at(-1) ?? '';
  const suffixSum =
    form === 'exact'
      ? addSum(graph, addSuffixSteps(graph, context, onSuffix, keys, shapes.suffixRows, latentWidth(config)))
      : graph.op('MatMul', [onSuffix, keys]);
  const [only = ''] = parts;
  const blockSum = addSum(graph, parts.length === 1 ? only : graph.concat(parts, 0));
  return graph.op('Add', [graph.reshapeTo(blockSum, sums), cutLatents(graph, config, suffixSum)]);
}

/** One softmax over all scores, taken apart again. */
function addShares(graph: GraphBuilder, scores: readonly ValueName[], parts: ValueName): readonly ValueName[] {
  const shares = graph.op('Softmax', [graph.concat(scores, -1)], { axis: intAttribute(-1) });
  return graph.ops('Split', [shares, parts], scores.length, { axis: intAttribute(-1) });
}

function cutLatents(graph: GraphBuilder, config: ModelConfig, sum: ValueName): ValueName {
  return graph.op('Slice', [sum, graph.ints([0]), graph.ints([config.latentRank]), graph.ints([-1])]);
}

function addSuffixScores(
  graph: GraphBuilder,
  { operators }: AttentionContext,
  queries: ValueName,
  { keys, shapes }: MixInputs,
  scale: number,
): ValueName {
  const scores = operators.addScores(graph, queries, keys, scale, 3);
  const masked = graph.op('Add', [graph.reshapeTo(scores, shapes.suffixByHead), shapes.mask]);
  return graph.reshapeTo(masked, shapes.suffixByQuery);
}

function addFloatScores(
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
