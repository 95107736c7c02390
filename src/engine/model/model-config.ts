import { ConfigReader, configError, isJsonRecord } from './config-reader.ts';
import { parseRopeConfig, type RopeConfig } from './rope-config.ts';

export interface RouterConfig {
  readonly groups: number;
  readonly groupsPerToken: number;
  readonly normalizeWeights: boolean;
  readonly scalingFactor: number;
}

/** INT4 experts in compressed-tensors `pack-quantized` form. */
export interface QuantizationConfig {
  /** Input columns that share a scale; null: one scale a row. */
  readonly groupColumns: number | null;
}

/** What config.json of a DeepSeek-V3 / Kimi-K2 checkpoint says about the text model. */
export interface ModelConfig {
  readonly architecture: string;
  /** What all tensor names begin with: '' or 'language_model.'. */
  readonly tensorPrefix: string;
  readonly vocabularySize: number;
  readonly contextTokens: number;
  readonly layers: number;
  readonly hiddenWidth: number;
  readonly heads: number;
  /** Width of the compressed query; null: queries are projected directly. */
  readonly queryLoraWidth: number | null;
  /** Width of the cached latent, without the rotary key. */
  readonly latentRank: number;
  readonly ropeWidth: number;
  readonly nopeWidth: number;
  readonly valueWidth: number;
  readonly denseWidth: number;
  /** 0: no layer has experts. */
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly expertWidth: number;
  readonly sharedExperts: number;
  readonly firstExpertLayer: number;
  readonly expertLayerEvery: number;
  readonly router: RouterConfig;
  readonly normEpsilon: number;
  /** Of the norms of the compressed query and of the latent. */
  readonly latentNormEpsilon: number;
  readonly rope: RopeConfig;
  readonly tiedEmbeddings: boolean;
  /** `eos_token_id`, one or several; empty when the config names none. */
  readonly stopIds: readonly number[];
  readonly quantization: QuantizationConfig | null;
}

const architectures = ['DeepseekV3ForCausalLM'];
const modelTypes = ['deepseek_v3', 'kimi_k2'];

/** Values of one row of the cache: latent, then rotary key. */
export function latentWidth(config: Pick<ModelConfig, 'latentRank' | 'ropeWidth'>): number {
  return config.latentRank + config.ropeWidth;
}

export function isExpertLayer(config: ModelConfig, layer: number): boolean {
  return config.experts > 0 && layer >= config.firstExpertLayer && layer % config.expertLayerEvery === 0;
}

/**
 * Parses config.json. A multimodal config is read through its `text_config`, whose tensors carry `language_model.`.
 * Throws `input.model-folder` naming the field, the value met and the values allowed.
 */
export function parseModelConfig(value: unknown): ModelConfig {
  if (!isJsonRecord(value)) throw configError('the file', value, 'a JSON object');
  const outer = new ConfigReader(value);
  const nested = outer.findObject('text_config');
  const config = nested ?? outer;
  checkArchitecture(value, nested, config);
  checkFixedChoices(config);
  const dims = parseDimensions(config);
  return Object.freeze({
    architecture: modelArchitecture(value, config),
    tensorPrefix: nested === undefined ? '' : 'language_model.',
    ...dims,
    ...parseExperts(config),
    ...parseNorms(config),
    rope: parseRopeConfig(config),
    tiedEmbeddings: config.flag('tie_word_embeddings', false),
    stopIds: config.ids('eos_token_id', dims.vocabularySize),
    quantization: parseQuantization(outer.has('quantization_config') ? outer : config),
  });
}

function modelArchitecture(outer: Readonly<Record<string, unknown>>, config: ConfigReader): string {
  const listed = outer['architectures'];
  const first: unknown = Array.isArray(listed) ? listed[0] : undefined;
  return typeof first === 'string' ? first : config.text('model_type');
}

function checkArchitecture(
  outer: Readonly<Record<string, unknown>>,
  nested: ConfigReader | undefined,
  config: ConfigReader,
): void {
  const listed = outer['architectures'];
  if (nested === undefined && Array.isArray(listed) && !listed.some((name) => architectures.includes(name))) {
    throw configError('architectures', listed, architectures.join(', '));
  }
  if (!config.has('model_type')) throw config.fail('model_type', modelTypes.join(', '));
  config.only('model_type', modelTypes);
}

/** Fields of the family that have one meaning here; another value would silently compute something else. */
function checkFixedChoices(config: ConfigReader): void {
  config.only('hidden_act', ['silu']);
  config.only('attention_bias', [false]);
  config.only('mlp_bias', [false]);
  config.only('scoring_func', ['sigmoid']);
  config.only('topk_method', ['noaux_tc']);
  config.only('rope_interleave', [true]);
}

function parseDimensions(config: ConfigReader) {
  const heads = config.count('num_attention_heads', 1);
  config.only('num_key_value_heads', [heads]);
  const ropeWidth = config.count('qk_rope_head_dim', 2);
  if (ropeWidth % 2 !== 0) throw config.fail('qk_rope_head_dim', 'an even number');
  return {
    vocabularySize: config.count('vocab_size', 1),
    contextTokens: config.count('max_position_embeddings', 1),
    layers: config.count('num_hidden_layers', 1),
    hiddenWidth: config.count('hidden_size', 1),
    heads,
    queryLoraWidth: config.has('q_lora_rank') ? config.count('q_lora_rank', 1) : null,
    latentRank: config.count('kv_lora_rank', 1),
    ropeWidth,
    nopeWidth: config.count('qk_nope_head_dim', 1),
    valueWidth: config.count('v_head_dim', 1),
    denseWidth: config.count('intermediate_size', 1),
  };
}

function parseNorms(config: ConfigReader) {
  const normEpsilon = config.positive('rms_norm_eps');
  return { normEpsilon, latentNormEpsilon: config.positive('q_kv_norm_eps', normEpsilon) };
}

function parseExperts(config: ConfigReader) {
  const experts = config.count('n_routed_experts', 0, 0);
  if (experts === 0) return denseOnly;
  const expertsPerToken = config.count('num_experts_per_tok', 1);
  if (expertsPerToken > experts) throw config.fail('num_experts_per_tok', `at most n_routed_experts, ${experts}`);
  return {
    experts,
    expertsPerToken,
    expertWidth: config.count('moe_intermediate_size', 1),
    sharedExperts: config.count('n_shared_experts', 0, 0),
    firstExpertLayer: config.count('first_k_dense_replace', 0, 0),
    expertLayerEvery: config.count('moe_layer_freq', 1, 1),
    router: Object.freeze(parseRouter(config, experts, expertsPerToken)),
  };
}

const denseOnly = {
  experts: 0,
  expertsPerToken: 0,
  expertWidth: 0,
  sharedExperts: 0,
  firstExpertLayer: 0,
  expertLayerEvery: 1,
  router: Object.freeze({ groups: 1, groupsPerToken: 1, normalizeWeights: true, scalingFactor: 1 }),
} as const;

function parseRouter(config: ConfigReader, experts: number, expertsPerToken: number): RouterConfig {
  const groups = config.count('n_group', 1, 1);
  const groupsPerToken = config.count('topk_group', 1, groups);
  const groupExperts = experts / groups;
  if (!Number.isInteger(groupExperts)) throw config.fail('n_group', `a divisor of n_routed_experts, ${experts}`);
  // A group is scored by its two best experts.
  if (groups > 1 && groupExperts < 2) throw config.fail('n_group', `at most ${Math.floor(experts / 2)}`);
  if (groupsPerToken > groups) throw config.fail('topk_group', `at most n_group, ${groups}`);
  if (groupsPerToken * groupExperts < expertsPerToken) {
    throw config.fail('topk_group', `enough groups of ${groupExperts} to choose ${expertsPerToken} experts from`);
  }
  return {
    groups,
    groupsPerToken,
    normalizeWeights: config.flag('norm_topk_prob', true),
    scalingFactor: config.positive('routed_scaling_factor'),
  };
}

function parseQuantization(owner: ConfigReader): QuantizationConfig | null {
  const config = owner.findObject('quantization_config');
  if (config === undefined) return null;
  if (config.text('quant_method') !== 'compressed-tensors') throw config.fail('quant_method', 'compressed-tensors');
  if (config.text('format') !== 'pack-quantized') throw config.fail('format', 'pack-quantized');
  const groups = config.findObject('config_groups');
  const names = groups?.values().map(([key]) => key) ?? [];
  const [name = ''] = names;
  if (groups === undefined || names.length !== 1) throw config.fail('config_groups', 'one group');
  const group = groups.findObject(name);
  const weights = group?.findObject('weights');
  if (group === undefined || weights === undefined) throw config.fail('config_groups', 'one group with weights');
  if (group.has('input_activations')) throw group.fail('input_activations', 'null');
  if (weights.count('num_bits', 1) !== 4) throw weights.fail('num_bits', '4');
  weights.only('type', ['int']);
  weights.only('symmetric', [true]);
  weights.only('dynamic', [false]);
  if (weights.has('actorder')) throw weights.fail('actorder', 'null');
  const strategy = weights.text('strategy', 'group');
  weights.only('strategy', ['group', 'channel']);
  return Object.freeze({ groupColumns: strategy === 'group' ? weights.count('group_size', 1) : null });
}
