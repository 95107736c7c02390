import { latentWidth, type ModelConfig } from '../../../src/engine/model/model-config.ts';
import type { GgufValue } from './gguf-header.ts';
import { specialIdOf, type WordVocabulary } from './word-vocabulary.ts';

/** Kinds of tokens. */
const [normal, control] = [1, 3];
/** sigmoid, in place of softmax */
const sigmoidGate = 2;

const uint32 = (value: number): GgufValue => ({ type: 'uint32', value });
const float32 = (value: number): GgufValue => ({ type: 'float32', value });
const string = (value: string): GgufValue => ({ type: 'string', value });

/** Entries of a `deepseek2` file. Cached is one row [latent | rotary key], so there is one key head of that width. */
export function buildMetadata(config: ModelConfig, vocabulary: WordVocabulary): ReadonlyMap<string, GgufValue> {
  const { latentRank, router } = config;
  const entries = {
    'general.architecture': string('deepseek2'),
    'general.name': string('quire benchmark, random weights'),
    'general.quantization_version': uint32(2),
    'deepseek2.context_length': uint32(config.contextTokens),
    'deepseek2.embedding_length': uint32(config.hiddenWidth),
    'deepseek2.block_count': uint32(config.layers),
    'deepseek2.feed_forward_length': uint32(config.denseWidth),
    'deepseek2.vocab_size': uint32(config.vocabularySize),
    'deepseek2.leading_dense_block_count': uint32(config.firstExpertLayer),
    'deepseek2.attention.head_count': uint32(config.heads),
    'deepseek2.attention.head_count_kv': uint32(1),
    'deepseek2.attention.layer_norm_rms_epsilon': float32(config.normEpsilon),
    ...(config.queryLoraWidth === null ? {} : { 'deepseek2.attention.q_lora_rank': uint32(config.queryLoraWidth) }),
    'deepseek2.attention.kv_lora_rank': uint32(latentRank),
    'deepseek2.attention.key_length': uint32(latentWidth(config)),
    'deepseek2.attention.value_length': uint32(latentRank),
    'deepseek2.attention.key_length_mla': uint32(config.nopeWidth + config.ropeWidth),
    'deepseek2.attention.value_length_mla': uint32(config.valueWidth),
    'deepseek2.rope.dimension_count': uint32(config.ropeWidth),
    'deepseek2.rope.freq_base': float32(config.rope.theta),
    'deepseek2.expert_count': uint32(config.experts),
    'deepseek2.expert_used_count': uint32(config.expertsPerToken),
    'deepseek2.expert_shared_count': uint32(config.sharedExperts),
    'deepseek2.expert_feed_forward_length': uint32(config.expertWidth),
    'deepseek2.expert_weights_scale': float32(router.scalingFactor),
    'deepseek2.expert_weights_norm': { type: 'bool', value: router.normalizeWeights },
    'deepseek2.expert_gating_func': uint32(sigmoidGate),
    'deepseek2.expert_group_count': uint32(router.groups),
    'deepseek2.expert_group_used_count': uint32(router.groupsPerToken),
    ...tokenizerEntries(vocabulary),
  } satisfies Record<string, GgufValue>;
  return new Map<string, GgufValue>(Object.entries(entries));
}

/** Prompts are given as ids, so that only the number of tokens matters; a list of merges must be there, though. */
function tokenizerEntries(vocabulary: WordVocabulary): Readonly<Record<string, GgufValue>> {
  const { texts, specials } = vocabulary;
  const types = [...texts.map(() => normal), ...specials.map(() => control)].map((type) => type ?? 0);
  return {
    'tokenizer.ggml.model': string('gpt2'),
    'tokenizer.ggml.pre': string('kimi-k2'),
    'tokenizer.ggml.tokens': { type: 'strings', value: [...texts, ...specials] },
    'tokenizer.ggml.token_type': { type: 'int32s', value: types },
    'tokenizer.ggml.merges': { type: 'strings', value: ['a b'] },
    'tokenizer.ggml.bos_token_id': uint32(specialIdOf(vocabulary, '[BOS]')),
    'tokenizer.ggml.eos_token_id': uint32(specialIdOf(vocabulary, '<|im_end|>')),
    'tokenizer.ggml.add_bos_token': { type: 'bool', value: false },
  };
}
