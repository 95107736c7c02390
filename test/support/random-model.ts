import fc from 'fast-check';
import { byteVocabulary } from './byte-tokenizer.ts';
import { type TinyOptions, tinyDefaults } from './tiny-checkpoint.ts';

export interface RandomModel {
  readonly options: TinyOptions;
  readonly seed: number;
  readonly threads: number;
  readonly precision: 'full' | 'int4';
}

/**
 * Tiny models of the family for the byte tokenizer. Two threads only where latent rows are at least 160 wide and there
 * is more than one head: others promise their bits for one thread.
 */
export const randomModel: fc.Arbitrary<RandomModel> = fc
  .record({
    layers: fc.integer({ min: 1, max: 3 }),
    heads: fc.integer({ min: 2, max: 4 }),
    isWide: fc.boolean(),
    experts: fc.constantFrom(4, 8),
    expertsPerToken: fc.integer({ min: 1, max: 3 }),
    queryLora: fc.option(fc.constant(32), { nil: null }),
    int4: fc.boolean(),
    isTied: fc.boolean(),
    seed: fc.nat({ max: 1_000 }),
    threads: fc.constantFrom(1, 2),
    precision: fc.constantFrom('full' as const, 'int4' as const),
  })
  .map(({ layers, heads, isWide, experts, expertsPerToken, queryLora, int4, isTied, seed, threads, precision }) => ({
    seed,
    precision,
    threads: isWide ? threads : 1,
    options: {
      ...(int4 ? { int4GroupColumns: 32 } : {}),
      config: {
        ...tinyDefaults,
        vocab_size: byteVocabulary,
        num_hidden_layers: layers,
        num_attention_heads: heads,
        num_key_value_heads: heads,
        kv_lora_rank: isWide ? 128 : 32,
        qk_rope_head_dim: isWide ? 32 : 8,
        n_routed_experts: experts,
        num_experts_per_tok: expertsPerToken,
        q_lora_rank: queryLora,
        tie_word_embeddings: isTied,
        max_position_embeddings: 8_192,
      },
    },
  }));
