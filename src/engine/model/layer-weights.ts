import { quantizeBlocks } from './block-matrix.ts';
import { splitLatentUp } from './layers/absorb.ts';
import type { AttentionWeights, LatentWeights } from './layers/attention-parts.ts';
import { headsAtOnce } from './layers/expanded.ts';
import type { LinearWeight, Matrix } from './layers/linear.ts';
import type { MlpWeights } from './layers/mlp.ts';
import type { ExpertLayerWeights } from './layers/moe.ts';
import { latentWidth, type ModelConfig } from './model-config.ts';
import { layerName } from './tensor-plan.ts';
import type { WeightSource } from './weights.ts';

/**
 * `full`: float32 arithmetic on the weights as stored. `int4`: products of INT8 activations with INT4 experts as
 * shipped and INT8 for all other matrices but embedding, router and what is absorbed.
 */
export type Precision = 'full' | 'int4';

/** Weights of a checkpoint by what they do in the graph. Each is read when it is asked for, and kept by nobody. */
export class LayerWeights {
  readonly #config: ModelConfig;
  readonly #source: WeightSource;
  readonly #precision: Precision;

  constructor(config: ModelConfig, source: WeightSource, precision: Precision) {
    this.#config = config;
    this.#source = source;
    this.#precision = precision;
  }

  embedding(): Matrix {
    const { tensorPrefix, vocabularySize, hiddenWidth } = this.#config;
    return this.#matrix(`${tensorPrefix}model.embed_tokens`, vocabularySize, hiddenWidth);
  }

  finalGain(): Float32Array {
    return this.#source.vector(`${this.#config.tensorPrefix}model.norm.weight`, this.#config.hiddenWidth);
  }

  head(): LinearWeight {
    const { tiedEmbeddings, tensorPrefix, vocabularySize, hiddenWidth } = this.#config;
    const name = tiedEmbeddings ? 'model.embed_tokens' : 'lm_head';
    return this.#linear(`${tensorPrefix}${name}`, vocabularySize, hiddenWidth);
  }

  gain(layer: number, name: 'input_layernorm' | 'post_attention_layernorm'): Float32Array {
    return this.#source.vector(`${layerName(this.#config, layer)}.${name}.weight`, this.#config.hiddenWidth);
  }

  attention(layer: number): AttentionWeights {
    const { hiddenWidth, heads, nopeWidth, ropeWidth, valueWidth, latentRank, queryLoraWidth } = this.#config;
    const name = `${layerName(this.#config, layer)}.self_attn`;
    const queryWidth = heads * (nopeWidth + ropeWidth);
    const query =
      queryLoraWidth === null
        ? { queryDown: null, queryUp: this.#linear(`${name}.q_proj`, queryWidth, hiddenWidth) }
        : {
            queryDown: {
              weight: this.#linear(`${name}.q_a_proj`, queryLoraWidth, hiddenWidth),
              gain: this.#source.vector(`${name}.q_a_layernorm.weight`, queryLoraWidth),
            },
            queryUp: this.#linear(`${name}.q_b_proj`, queryWidth, queryLoraWidth),
          };
    const latentUp = this.#matrix(`${name}.kv_b_proj`, heads * (nopeWidth + valueWidth), latentRank);
    return {
      ...query,
      expanded: () => this.#headGroups(latentUp),
      latentUp: splitLatentUp(this.#config, latentUp),
      output: this.#linear(`${name}.o_proj`, hiddenWidth, heads * valueWidth),
    };
  }

  /** Of the rows that a layer caches. */
  latent(layer: number): LatentWeights {
    const name = `${layerName(this.#config, layer)}.self_attn`;
    const { hiddenWidth, latentRank } = this.#config;
    return {
      latentDown: this.#linear(`${name}.kv_a_proj_with_mqa`, latentWidth(this.#config), hiddenWidth),
      latentGain: this.#source.vector(`${name}.kv_a_layernorm.weight`, latentRank),
    };
  }

  dense(layer: number): MlpWeights {
    return this.#mlp(`${layerName(this.#config, layer)}.mlp`, this.#config.denseWidth);
  }

  expertLayer(layer: number): ExpertLayerWeights {
    const { hiddenWidth, experts, expertWidth, sharedExperts } = this.#config;
    const name = `${layerName(this.#config, layer)}.mlp`;
    return {
      router: this.#matrix(`${name}.gate`, experts, hiddenWidth),
      selectionBias: this.#source.vector(`${name}.gate.e_score_correction_bias`, experts),
      expert: (index) => this.#mlp(`${name}.experts.${index}`, expertWidth),
      shared: sharedExperts === 0 ? null : this.#mlp(`${name}.shared_experts`, expertWidth * sharedExperts),
    };
  }

  /** Rows of the up-projection, for a few heads at a time. */
  #headGroups(latentUp: Matrix): readonly LinearWeight[] {
    const { heads, nopeWidth, valueWidth } = this.#config;
    return Array.from({ length: Math.ceil(heads / headsAtOnce) }, (_, group) => {
      const first = group * headsAtOnce;
      const rows = (Math.min(heads, first + headsAtOnce) - first) * (nopeWidth + valueWidth);
      const start = first * (nopeWidth + valueWidth) * latentUp.columns;
      const values = latentUp.values.subarray(start, start + rows * latentUp.columns);
      const own = { values, rows, columns: latentUp.columns };
      return this.#precision === 'int4' ? quantizeBlocks(own) : own;
    });
  }

  #mlp(name: string, width: number): MlpWeights {
    const { hiddenWidth } = this.#config;
    return {
      gate: this.#linear(`${name}.gate_proj`, width, hiddenWidth),
      up: this.#linear(`${name}.up_proj`, width, hiddenWidth),
      down: this.#linear(`${name}.down_proj`, hiddenWidth, width),
    };
  }

  #linear(name: string, rows: number, columns: number): LinearWeight {
    return this.#precision === 'int4' ? this.#source.blocks(name, rows, columns) : this.#matrix(name, rows, columns);
  }

  #matrix(name: string, rows: number, columns: number): Matrix {
    return { values: this.#source.matrix(name, rows, columns), rows, columns };
  }
}
