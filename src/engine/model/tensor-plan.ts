import { isExpertLayer, latentWidth, type ModelConfig } from './model-config.ts';

/** Checkpoint tensors of the family: Hugging Face names without the prefix, shapes as stored, [out, in]. */

export type PlannedTensor =
  | { readonly type: 'vector'; readonly name: string; readonly length: number; readonly role: TensorRole }
  /** `name` without `.weight`: an INT4 matrix has other suffixes. */
  | {
      readonly type: 'matrix';
      readonly name: string;
      readonly rows: number;
      readonly columns: number;
      readonly role: TensorRole;
    };

/** A token uses all of a layer, but only some of its experts. */
type TensorRole = 'always' | 'expert';

const vector = (name: string, length: number): PlannedTensor => ({ type: 'vector', name, length, role: 'always' });

const matrix = (name: string, rows: number, columns: number, role: TensorRole = 'always'): PlannedTensor => ({
  type: 'matrix',
  name,
  rows,
  columns,
  role,
});

/** Every tensor the graph will read, in file order of layers. */
export function* planTensors(config: ModelConfig): Generator<PlannedTensor> {
  const { tensorPrefix, hiddenWidth, vocabularySize } = config;
  yield matrix(`${tensorPrefix}model.embed_tokens`, vocabularySize, hiddenWidth);
  for (let layer = 0; layer < config.layers; layer++) {
    const name = layerName(config, layer);
    yield vector(`${name}.input_layernorm.weight`, hiddenWidth);
    yield* planAttention(config, `${name}.self_attn`);
    yield vector(`${name}.post_attention_layernorm.weight`, hiddenWidth);
    if (isExpertLayer(config, layer)) yield* planExperts(config, `${name}.mlp`);
    else yield* planMlp(`${name}.mlp`, hiddenWidth, config.denseWidth);
  }
  yield vector(`${tensorPrefix}model.norm.weight`, hiddenWidth);
  if (!config.tiedEmbeddings) yield matrix(`${tensorPrefix}lm_head`, vocabularySize, hiddenWidth);
}

export function layerName(config: ModelConfig, layer: number): string {
  return `${config.tensorPrefix}model.layers.${layer}`;
}

function* planAttention(config: ModelConfig, name: string): Generator<PlannedTensor> {
  const { heads, hiddenWidth, queryLoraWidth, latentRank } = config;
  const queryWidth = heads * (config.nopeWidth + config.ropeWidth);
  if (queryLoraWidth === null) {
    yield matrix(`${name}.q_proj`, queryWidth, hiddenWidth);
  } else {
    yield matrix(`${name}.q_a_proj`, queryLoraWidth, hiddenWidth);
    yield vector(`${name}.q_a_layernorm.weight`, queryLoraWidth);
    yield matrix(`${name}.q_b_proj`, queryWidth, queryLoraWidth);
  }
  yield matrix(`${name}.kv_a_proj_with_mqa`, latentWidth(config), hiddenWidth);
  yield vector(`${name}.kv_a_layernorm.weight`, latentRank);
  yield matrix(`${name}.kv_b_proj`, heads * (config.nopeWidth + config.valueWidth), latentRank);
  yield matrix(`${name}.o_proj`, hiddenWidth, heads * config.valueWidth);
}

function* planMlp(name: string, hidden: number, width: number, role?: TensorRole): Generator<PlannedTensor> {
  yield matrix(`${name}.gate_proj`, width, hidden, role);
  yield matrix(`${name}.up_proj`, width, hidden, role);
  yield matrix(`${name}.down_proj`, hidden, width, role);
}

function* planExperts(config: ModelConfig, name: string): Generator<PlannedTensor> {
  const { experts, expertWidth, hiddenWidth, sharedExperts } = config;
  yield matrix(`${name}.gate`, experts, hiddenWidth);
  yield vector(`${name}.gate.e_score_correction_bias`, experts);
  for (let expert = 0; expert < experts; expert++) {
    yield* planMlp(`${name}.experts.${expert}`, hiddenWidth, expertWidth, 'expert');
  }
  if (sharedExperts > 0) yield* planMlp(`${name}.shared_experts`, hiddenWidth, expertWidth * sharedExperts);
}

export interface ParameterTotals {
  readonly parameters: number;
  /** What one token uses: all but the experts it is not sent to; embedding and head included. */
  readonly activeParameters: number;
}

export function countParameters(config: ModelConfig): ParameterTotals {
  let always = 0;
  let inExperts = 0;
  for (const tensor of planTensors(config)) {
    const values = tensor.type === 'vector' ? tensor.length : tensor.rows * tensor.columns;
    if (tensor.role === 'expert') inExperts += values;
    else always += values;
  }
  const activeExperts = config.experts === 0 ? 0 : (inExperts / config.experts) * config.expertsPerToken;
  return { parameters: always + inExperts, activeParameters: always + activeExperts };
}
