import { type ConstantSink, GraphBuilder, type ValueName } from '../graph-builder.ts';
import type { LayerWeights } from '../layer-weights.ts';
import { addDownRows } from '../layers/absorb.ts';
import { addAttention, addKeyShapes, addLatentRows } from '../layers/attention.ts';
import type { AttentionContext, AttentionForm, KeyShapes } from '../layers/attention-parts.ts';
import { addEmbedding } from '../layers/embedding.ts';
import { addIsExpanded } from '../layers/expanded.ts';
import { addLinear } from '../layers/linear.ts';
import { addMlp } from '../layers/mlp.ts';
import { addExpertLayer } from '../layers/moe.ts';
import { addRmsNorm } from '../layers/norm.ts';
import { addRoundedShapes, type RoundedShapes } from '../layers/rounded-keys.ts';
import type { OwnIndex } from '../layers/rounded-own.ts';
import { type RoundedBlocks, roundedBlock } from '../layers/rounded-products.ts';
import { isExpertLayer, latentWidth, type ModelConfig } from '../model-config.ts';
import { operatorsOf } from '../operators/operators-of.ts';
import type { Provider, ProviderOperators } from '../operators/provider-operators.ts';

/**
 * The graphs of DeepSeek-V3 and Kimi-K2, one run over new rows of sequences that share a prefix. The layers are one
 * graph, or several one behind the other, and up to the last layer's cached rows; what only logits need is a graph of
 * its own, which a prefill never runs.
 *
 * | input | shape | |
 * |---|---|---|
 * | `ids` | [sequences, tokens] int64 | but for the first, its shape only |
 * | `write` | [sequences] int64 | of each sequence's first new row, among the suffix rows that are read |
 * | `cos`, `sin` | [sequences · tokens, rope width / 2] | of each new row's position |
 * | `prefix_<layer>` | [prefix rows, width] | a multiple of 256, possibly 0 |
 * | `rounded_keys_<layer>` | [blocks, width, 256] int8 | where `rounds`, and so are the next ten: the prefix in INT8 for rows of the absorbed form; then `prefix_<layer>` has no rows. 0 blocks: it is read in float32 |
 * | `rounded_key_steps_<layer>` | [blocks, 1, 256] | |
 * | `rounded_values_<layer>` | [blocks, 256, latent rank] int8 | |
 * | `rounded_value_steps_<layer>` | [blocks, 1, 1] | |
 * | `own_keys_<layer>` … `own_value_steps_<layer>` | as the four above | blocks of sequences' own rows in INT8, which are before those of the suffix that are read |
 * | `own_owners` | [own blocks] int64 | the sequence of each block |
 * | `own_cells` | [own blocks] int64 | sequence · places + its place among the sequence's blocks |
 * | `own_places` | [sequences, places] int64 | the block at each place; the number of own blocks where there is none |
 * | `suffix_<layer>` | [sequences, suffix rows, width], where `cutsSuffix` [all of them, width] | a multiple of `rowStep(form)`; new rows are not in it yet |
 * | `own_rows` | [sequences, rows] int64 | where `cutsSuffix`: which of all are read of each sequence, a multiple of `rowStep(form)` |
 * | `expand` | [1] int64 | layers in the exact form, where `expands`: 1: keys and values of each head are computed |
 * | `prefix_bias` | [1] | where `allowsEmpty` is false: 0, or `excluded` for a prefix that is not there |
 * | `hidden_in` | [sequences · tokens, hidden width] | `hidden` of the graph before; not of the first |
 * | `new_rows` | [sequences, new tokens, width] | top only: the last layer's `latents` |
 * | `asked` | [sequences · tokens] int64 | top only: rows of `hidden_in` that the top computes; `ids`, `cos` and `sin` are of these |
 * | `first` | [sequences] int64 | top only: of the first of them, among the suffix rows that are read |
 * | `select` | [wanted] int64 | top only: which of the asked rows' hidden state and logits are wanted |
 * | `head` | [1] int64 | top only. 0: no logits |
 *
 * Outputs: `hidden` [sequences · tokens, hidden width] and `latents` [layers, sequences, tokens, width]; of the top
 * `logits` [wanted, vocabulary] or [0, vocabulary], and `hidden` [wanted, hidden width] behind the final norm.
 */
export const prefixInput = (layer: number): string => `prefix_${layer}`;
export type RoundedNames = Record<'keys' | 'keySteps' | 'values' | 'valueSteps', string>;
const roundedNames = (stem: string, layer: number): RoundedNames => ({
  keys: `${stem}_keys_${layer}`,
  keySteps: `${stem}_key_steps_${layer}`,
  values: `${stem}_values_${layer}`,
  valueSteps: `${stem}_value_steps_${layer}`,
});
export const roundedInputs = (layer: number): RoundedNames => roundedNames('rounded', layer);
export const ownBlockInputs = (layer: number): RoundedNames => roundedNames('own', layer);
export const ownIndexInputs = { owners: 'own_owners', cells: 'own_cells', places: 'own_places' } as const;
export const prefixBiasInput = 'prefix_bias';
export const ownRowsInput = 'own_rows';
export const expandInput = 'expand';
export const suffixInput = (layer: number): string => `suffix_${layer}`;

/** Layers [first, end) whole; the last graph before the top also gives the rows that the last layer caches. */
export interface LayerRange {
  readonly first: number;
  readonly end: number;
}

export interface GraphOptions {
  readonly form: AttentionForm;
  readonly provider: Provider;
  /** Prefixes may be given in INT8. */
  readonly rounds: boolean;
  /** Where large constants go; null: into the graph. */
  readonly sink: ConstantSink | null;
}

/** @returns ONNX bytes. Throws what `weights` throws. */
export function buildLayers(
  config: ModelConfig,
  weights: LayerWeights,
  range: LayerRange,
  { form, provider, rounds, sink }: GraphOptions,
): Uint8Array {
  const graph = GraphBuilder.open('layers', sink, operatorsOf(provider).blockLevel);
  const width = latentWidth(config);
  const context = addContext(graph, config, { form, provider, expand: () => graph.input(expandInput, 'int64', [1]) });
  let hidden =
    range.first === 0
      ? addEmbedding(graph, context.ids, weights.embedding())
      : graph.input('hidden_in', 'float32', ['rows', config.hiddenWidth]);
  const latents: ValueName[] = [];
  for (let layer = range.first; layer < range.end; layer++) {
    const normed = addInputNorm(graph, config, weights, layer, hidden);
    const { latentDown, latentGain } = weights.latent(layer);
    const attention = weights.attention(layer);
    const down = addDownRows(graph, config, latentDown, attention.queryDown?.weight ?? null, normed);
    const newRows = addLatentRows(graph, config, latentGain, context, down);
    latents.push(newRows);
    const attended = addAttention(graph, config, form, attention, context, {
      hidden: normed,
      queryDown: down.query,
      newRows,
      ...addLayerInputs(graph, config, layer, { rounds, provider }),
    });
    const between = graph.op('Add', [hidden, attended]);
    hidden = graph.op('Add', [between, addFeedForward(graph, config, weights, layer, between, context.operators)]);
  }
  if (range.end === config.layers - 1) {
    const normed = addInputNorm(graph, config, weights, range.end, hidden);
    const { latentDown, latentGain } = weights.latent(range.end);
    const down = addDownRows(graph, config, latentDown, null, normed);
    latents.push(addLatentRows(graph, config, latentGain, context, down));
  }
  graph.output(hidden, 'float32', ['rows', config.hiddenWidth], 'hidden');
  const stacked = latents.map((rows) => graph.op('Unsqueeze', [rows, graph.ints([0])]));
  const dims = [latents.length, 'sequences', 'tokens', width];
  graph.output(graph.concat(stacked, 0), 'float32', dims, 'latents');
  return graph.encodeModel();
}

/** The last layer behind its cached rows, the final norm and the head. As `buildLayers`. */
export function buildTop(
  config: ModelConfig,
  weights: LayerWeights,
  { form, provider, rounds, sink }: GraphOptions,
): Uint8Array {
  const graph = GraphBuilder.open('top', sink, operatorsOf(provider).blockLevel);
  const layer = config.layers - 1;
  // the row whose logits are wanted is computed in one form, whatever it is cached in
  const first = graph.input('first', 'int64', ['sequences']);
  const context = addContext(graph, config, { form, provider, first, expand: () => null });
  const below = graph.input('hidden_in', 'float32', ['all_rows', config.hiddenWidth]);
  const hidden = graph.op('Gather', [below, graph.input('asked', 'int64', ['rows'])]);
  const select = graph.input('select', 'int64', ['wanted']);
  const attended = addAttention(graph, config, form, weights.attention(layer), context, {
    hidden: addInputNorm(graph, config, weights, layer, hidden),
    queryDown: null,
    newRows: graph.input('new_rows', 'float32', ['sequences', 'new_tokens', latentWidth(config)]),
    ...addLayerInputs(graph, config, layer, { rounds, provider }),
  });
  const wanted = graph.op('Gather', [graph.op('Add', [hidden, attended]), select]);
  const output = graph.op('Add', [wanted, addFeedForward(graph, config, weights, layer, wanted, context.operators)]);
  const final = addRmsNorm(graph, output, weights.finalGain(), config.normEpsilon);
  // nothing is multiplied when nobody wants logits: an embedding needs the hidden states only
  const head = graph.input('head', 'int64', [1]);
  const end = graph.op('Mul', [graph.dimension(final, 0), head]);
  const logits = addLinear(graph, graph.op('Slice', [final, graph.ints([0]), end]), weights.head(), 'head');
  graph.output(logits, 'float32', ['scored', config.vocabularySize], 'logits');
  graph.output(final, 'float32', ['wanted', config.hiddenWidth], 'hidden');
  return graph.encodeModel();
}

function addLayerInputs(
  graph: GraphBuilder,
  config: ModelConfig,
  layer: number,
  { rounds, provider }: Pick<GraphOptions, 'rounds' | 'provider'>,
) {
  const width = latentWidth(config);
  const ownRows = operatorsOf(provider).cutsSuffix ? ['all_rows'] : ['sequences', 'suffix_rows'];
  return {
    prefix: graph.input(prefixInput(layer), 'float32', ['prefix_rows', width]),
    rounded: rounds
      ? {
          prefix: addBlockInputs(graph, config, roundedInputs(layer), 'blocks'),
          own: addBlockInputs(graph, config, ownBlockInputs(layer), 'own_blocks'),
        }
      : null,
    suffix: graph.input(suffixInput(layer), 'float32', [...ownRows, width]),
  };
}

function addBlockInputs(graph: GraphBuilder, config: ModelConfig, names: RoundedNames, blocks: string): RoundedBlocks {
  return {
    keys: graph.input(names.keys, 'int8', [blocks, latentWidth(config), roundedBlock]),
    keySteps: graph.input(names.keySteps, 'float32', [blocks, 1, roundedBlock]),
    values: graph.input(names.values, 'int8', [blocks, roundedBlock, config.latentRank]),
    valueSteps: graph.input(names.valueSteps, 'float32', [blocks, 1, 1]),
  };
}

function addInputNorm(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: LayerWeights,
  layer: number,
  hidden: ValueName,
): ValueName {
  return addRmsNorm(graph, hidden, weights.gain(layer, 'input_layernorm'), config.normEpsilon);
}

interface ContextOptions {
  readonly form: AttentionForm;
  readonly provider: Provider;
  /** [sequences]: of the first row that attends, among the suffix rows that are read; left out: of the first new row */
  readonly first?: ValueName;
  /** Of the exact form: the input that says whether keys and values are expanded; null: never. */
  readonly expand: () => ValueName | null;
}

/** Inputs of every graph, and what all layers derive from them. */
function addContext(
  graph: GraphBuilder,
  config: ModelConfig,
  { form, provider, first, expand }: ContextOptions,
): AttentionContext & { readonly ids: ValueName } {
  const ids = graph.input('ids', 'int64', ['sequences', 'tokens']);
  const write = graph.input('write', 'int64', ['sequences']);
  const cos = graph.input('cos', 'float32', ['rows', config.ropeWidth / 2]);
  const sin = graph.input('sin', 'float32', ['rows', config.ropeWidth / 2]);
  const operators = operatorsOf(provider);
  const tokens = graph.dimension(ids, 1);
  const rowTotal = graph.op('Squeeze', [graph.op('Size', [ids])]);
  const rows = graph.op('Range', [graph.scalarInt(0), rowTotal, graph.scalarInt(1)]);
  const sequences = graph.dimension(ids, 0);
  const queries = graph.op('Mul', [tokens, graph.ints([config.heads])]);
  let shapes: KeyShapes | null = null;
  let rounded: RoundedShapes | null = null;
  return {
    ids,
    keyShapes: (prefix, keys) => {
      shapes ??= addKeyShapes(graph, config.heads, {
        prefix,
        keys,
        first: first ?? write,
        sequences,
        tokens,
        queries,
      });
      return shapes;
    },
    roundedShapes: (keys) => {
      rounded ??= addRoundedShapes(graph, config, { sequences, queries }, keys, addOwnIndex(graph));
      return rounded;
    },
    sequences,
    tokens,
    queries,
    queryShape: graph.shape([sequences, queries, latentWidth(config)]),
    write,
    ownRows: operators.cutsSuffix ? graph.input(ownRowsInput, 'int64', ['sequences', 'own_rows']) : null,
    operators,
    isExpanded: operators.expands
      ? addIsExpanded(graph, form === 'exact' ? expand() : undefined, tokens, sequences)
      : null,
    prefixBias: operators.allowsEmpty ? null : graph.input(prefixBiasInput, 'float32', [1]),
    rotary: { rows: graph.op('Reshape', [rows, graph.op('Shape', [ids])]), cos, sin },
  };
}

function addOwnIndex(graph: GraphBuilder): OwnIndex {
  return {
    owners: graph.input(ownIndexInputs.owners, 'int64', ['own_blocks']),
    cells: graph.input(ownIndexInputs.cells, 'int64', ['own_blocks']),
    places: graph.input(ownIndexInputs.places, 'int64', ['sequences', 'places']),
  };
}

function addFeedForward(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: LayerWeights,
  layer: number,
  hidden: ValueName,
  { allowsEmpty }: ProviderOperators,
): ValueName {
  const normed = addRmsNorm(graph, hidden, weights.gain(layer, 'post_attention_layernorm'), config.normEpsilon);
  if (isExpertLayer(config, layer))
    return addExpertLayer(graph, config, weights.expertLayer(layer), normed, allowsEmpty);
  return addMlp(graph, normed, weights.dense(layer), 'dense');
}
