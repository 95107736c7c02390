import { checkModelBytes, GraphBuilder, type ValueName } from '../graph-builder.ts';
import {
  type AttentionContext,
  type AttentionForm,
  type AttentionWeights,
  addAttention,
  addCausalMask,
  addLatentRows,
} from '../layers/attention.ts';
import { addEmbedding, addHead } from '../layers/embedding.ts';
import type { Matrix } from '../layers/linear.ts';
import { addExpertLayer, addMlp, type ExpertLayerWeights, type MlpWeights } from '../layers/moe.ts';
import { addRmsNorm } from '../layers/norm.ts';
import { isExpertLayer, latentWidth, type ModelConfig } from '../model-config.ts';
import { countParameters, layerName } from '../tensor-plan.ts';
import type { WeightSource } from '../weights.ts';

/**
 * The graph of DeepSeek-V3 and Kimi-K2, one run over new rows of sequences that share a prefix.
 *
 * | input | shape | |
 * |---|---|---|
 * | `ids` | [sequences, tokens] int64 | |
 * | `write` | [sequences] int64 | suffix row of the first new row |
 * | `cos`, `sin` | [sequences · tokens, rope width / 2] | of each new row's position |
 * | `select` | [wanted] int64 | rows, over all sequences, whose hidden state and logits are wanted |
 * | `head` | [1] int64 | 0: no logits |
 * | `prefix_<layer>` | [prefix rows, width] | a multiple of 256, possibly 0 |
 * | `suffix_<layer>` | [sequences, suffix rows, width] | a multiple of `rowStep(form)`; new rows are not in it yet |
 *
 * Outputs: `logits` [wanted, vocabulary] or [0, vocabulary], `hidden` [wanted, hidden width] behind the final norm,
 * `latents` [layers, sequences, tokens, width].
 */
export const prefixInput = (layer: number): string => `prefix_${layer}`;
export const suffixInput = (layer: number): string => `suffix_${layer}`;

/** @returns the model as ONNX bytes. Throws `capacity.model-too-large` and what `weights` throws. */
export function buildDeepseekV3(config: ModelConfig, weights: WeightSource, form: AttentionForm): Uint8Array {
  checkModelBytes(4 * countParameters(config).parameters);
  const graph = new GraphBuilder('deepseek_v3');
  const width = latentWidth(config);
  const ids = graph.input('ids', 'int64', ['sequences', 'tokens']);
  const write = graph.input('write', 'int64', ['sequences']);
  const cos = graph.input('cos', 'float32', ['rows', config.ropeWidth / 2]);
  const sin = graph.input('sin', 'float32', ['rows', config.ropeWidth / 2]);
  const select = graph.input('select', 'int64', ['wanted']);
  const head = graph.input('head', 'int64', [1]);
  const layers = Array.from({ length: config.layers }, (_, layer) => ({
    prefix: graph.input(prefixInput(layer), 'float32', ['prefix_rows', width]),
    suffix: graph.input(suffixInput(layer), 'float32', ['sequences', 'suffix_rows', width]),
  }));

  const context = addContext(graph, config, { ids, write, cos, sin, suffix: layers[0]?.suffix ?? '' });
  const table = readMatrix(
    weights,
    `${config.tensorPrefix}model.embed_tokens`,
    config.vocabularySize,
    config.hiddenWidth,
  );
  const embedding = addEmbedding(graph, ids, table);
  let hidden = embedding.hidden;
  const latents: ValueName[] = [];
  for (const [layer, { prefix, suffix }] of layers.entries()) {
    const name = layerName(config, layer);
    const gain = weights.vector(`${name}.input_layernorm.weight`, config.hiddenWidth);
    const normed = addRmsNorm(graph, hidden, gain, config.normEpsilon);
    const attention = readAttention(config, weights, `${name}.self_attn`);
    const newRows = addLatentRows(graph, config, attention, context, normed);
    latents.push(graph.op('Unsqueeze', [newRows, graph.ints([0])]));
    const before = hidden;
    const addRest = (part: GraphBuilder): ValueName => {
      const inputs = { hidden: normed, newRows, prefix, suffix };
      const attended = part.op('Add', [before, addAttention(part, config, form, attention, context, inputs)]);
      return part.op('Add', [attended, addFeedForward(part, config, weights, layer, attended)]);
    };
    hidden = layer < config.layers - 1 ? addRest(graph) : addWanted(graph, select, config.hiddenWidth, addRest);
  }
  const finalGain = weights.vector(`${config.tensorPrefix}model.norm.weight`, config.hiddenWidth);
  const final = addRmsNorm(graph, hidden, finalGain, config.normEpsilon);
  const logits = addLogits(graph, config, weights, { head, final, table: embedding.table });
  graph.output(logits, 'float32', ['scored', config.vocabularySize], 'logits');
  graph.output(final, 'float32', ['wanted', config.hiddenWidth], 'hidden');
  graph.output(graph.concat(latents, 0), 'float32', [config.layers, 'sequences', 'tokens', width], 'latents');
  return graph.encodeModel();
}

/** Nothing of the last layer but its cached rows is needed when no logits are: a prefill skips it. */
function addWanted(
  graph: GraphBuilder,
  select: ValueName,
  hiddenWidth: number,
  addRest: (part: GraphBuilder) => ValueName,
): ValueName {
  const isWanted = graph.op('Greater', [graph.op('Size', [select]), graph.scalarInt(0)]);
  const run = graph.branch('last_layer');
  run.output(run.op('Gather', [addRest(run), select]), 'float32', ['wanted', hiddenWidth]);
  const skip = graph.branch('no_logits');
  skip.output(skip.op('Identity', [skip.zeros([0, hiddenWidth])]), 'float32', ['wanted', hiddenWidth]);
  return graph.choose(isWanted, run, skip, 1)[0] ?? '';
}

/** The head, unless nobody wants its product: an embedding needs the hidden states only. */
function addLogits(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: WeightSource,
  inputs: { readonly head: ValueName; readonly final: ValueName; readonly table: ValueName },
): ValueName {
  const { tiedEmbeddings, tensorPrefix, vocabularySize, hiddenWidth } = config;
  const matrix = tiedEmbeddings ? null : readMatrix(weights, `${tensorPrefix}lm_head`, vocabularySize, hiddenWidth);
  const isWanted = graph.op('Greater', [inputs.head, graph.scalarInt(0)]);
  const run = graph.branch('head');
  run.output(addHead(run, inputs.final, matrix, inputs.table), 'float32', ['scored', vocabularySize]);
  const skip = graph.branch('no_head');
  skip.output(skip.op('Identity', [skip.zeros([0, vocabularySize])]), 'float32', ['scored', vocabularySize]);
  return graph.choose(isWanted, run, skip, 1)[0] ?? '';
}

interface ContextInputs {
  readonly ids: ValueName;
  readonly write: ValueName;
  readonly cos: ValueName;
  readonly sin: ValueName;
  readonly suffix: ValueName;
}

function addContext(graph: GraphBuilder, config: ModelConfig, inputs: ContextInputs): AttentionContext {
  const { ids, write, cos, sin, suffix } = inputs;
  const tokens = graph.dimension(ids, 1);
  const rowTotal = graph.op('Squeeze', [graph.op('Size', [ids])]);
  const rows = graph.op('Range', [graph.scalarInt(0), rowTotal, graph.scalarInt(1)]);
  return {
    sequences: graph.dimension(ids, 0),
    tokens,
    queries: graph.op('Mul', [tokens, graph.ints([config.heads])]),
    mask: addCausalMask(graph, suffix, write, tokens),
    write,
    rotary: { rows: graph.op('Reshape', [rows, graph.op('Shape', [ids])]), cos, sin },
  };
}

function addFeedForward(
  graph: GraphBuilder,
  config: ModelConfig,
  weights: WeightSource,
  layer: number,
  hidden: ValueName,
): ValueName {
  const name = layerName(config, layer);
  const gain = weights.vector(`${name}.post_attention_layernorm.weight`, config.hiddenWidth);
  const normed = addRmsNorm(graph, hidden, gain, config.normEpsilon);
  if (isExpertLayer(config, layer)) {
    return addExpertLayer(graph, config, readExpertLayer(config, weights, `${name}.mlp`), normed);
  }
  return addMlp(graph, normed, readMlp(weights, `${name}.mlp`, config.hiddenWidth, config.denseWidth), 'dense');
}

function readMatrix(weights: WeightSource, name: string, rows: number, columns: number): Matrix {
  return { values: weights.matrix(name, rows, columns), rows, columns };
}

function readMlp(weights: WeightSource, name: string, hidden: number, width: number): MlpWeights {
  return {
    gate: readMatrix(weights, `${name}.gate_proj`, width, hidden),
    up: readMatrix(weights, `${name}.up_proj`, width, hidden),
    down: readMatrix(weights, `${name}.down_proj`, hidden, width),
  };
}

function readAttention(config: ModelConfig, weights: WeightSource, name: string): AttentionWeights {
  const { hiddenWidth, heads, nopeWidth, ropeWidth, valueWidth, latentRank, queryLoraWidth } = config;
  const queryWidth = heads * (nopeWidth + ropeWidth);
  const query =
    queryLoraWidth === null
      ? { queryDown: null, queryUp: readMatrix(weights, `${name}.q_proj`, queryWidth, hiddenWidth) }
      : {
          queryDown: {
            weight: readMatrix(weights, `${name}.q_a_proj`, queryLoraWidth, hiddenWidth),
            gain: weights.vector(`${name}.q_a_layernorm.weight`, queryLoraWidth),
          },
          queryUp: readMatrix(weights, `${name}.q_b_proj`, queryWidth, queryLoraWidth),
        };
  return {
    ...query,
    latentDown: readMatrix(weights, `${name}.kv_a_proj_with_mqa`, latentWidth(config), hiddenWidth),
    latentGain: weights.vector(`${name}.kv_a_layernorm.weight`, latentRank),
    latentUp: readMatrix(weights, `${name}.kv_b_proj`, heads * (nopeWidth + valueWidth), latentRank),
    output: readMatrix(weights, `${name}.o_proj`, hiddenWidth, heads * valueWidth),
  };
}

function readExpertLayer(config: ModelConfig, weights: WeightSource, name: string): ExpertLayerWeights {
  const { hiddenWidth, experts, expertWidth, sharedExperts } = config;
  return {
    router: readMatrix(weights, `${name}.gate`, experts, hiddenWidth),
    selectionBias: weights.vector(`${name}.gate.e_score_correction_bias`, experts),
    expert: (index) => readMlp(weights, `${name}.experts.${index}`, hiddenWidth, expertWidth),
    shared:
      sharedExperts === 0 ? null : readMlp(weights, `${name}.shared_experts`, hiddenWidth, expertWidth * sharedExperts),
  };
}
