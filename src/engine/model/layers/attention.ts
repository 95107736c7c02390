import type { GraphBuilder, ValueName } from '../graph-builder.ts';
import { latentWidth, type ModelConfig } from '../model-config.ts';
import { addAbsorbedQueries, addHeadValues, addQueries, type DownRows } from './absorb.ts';
import type { AttentionContext, AttentionForm, AttentionWeights, KeyShapes } from './attention-parts.ts';
import { addCausalMask } from './causal-mask.ts';
import { addExpandedOr } from './expanded.ts';
import { addLinear } from './linear.ts';
import { addMixedLatents } from './mixed-latents.ts';
import { addRmsNorm } from './norm.ts';
import { addRotary } from './rotary.ts';
import type { RoundedKeys } from './rounded-keys.ts';

/** A suffix has a multiple of so many rows. In the fast form only to keep the number of different shapes small. */
export function rowStep(form: AttentionForm): number {
  return form === 'exact' ? 256 : 32;
}

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
  /** Whole blocks in INT8, which rows of the absorbed form read where they are given; null: never. */
  readonly rounded: RoundedKeys | null;
  /** Of `SuffixRows`. */
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
      rounded: inputs.rounded,
      keys,
      shapes,
    });
    return addHeadValues(part, config, form, weights.latentUp, mixed);
  };
  const read = { queries, prefix: inputs.prefix, keys, shapes };
  const heads = addExpandedOr(graph, config, weights.expanded, context, read, addAbsorbed);
  return addLinear(graph, heads, weights.output, 'attention_output');
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
