import { SeededRandom } from '../../../src/engine/sample/random.ts';
import { encodeBf16, littleEndian, type Tensor } from './encode-safetensors.ts';
import { dimensions as d, groupColumns, vocabularySize } from './nano-config.ts';
import { packInt4 } from './pack-int4.ts';

/**
 * Seeded random weights. Matrices have a standard deviation of 1/√columns, so that a unit input gives a unit output;
 * those that write into the residual stream are smaller by √(2 · layers), so that it does not grow with depth.
 */
export function* buildNanoWeights(seed: number): Generator<Tensor> {
  const normal = buildNormal(new SeededRandom(seed));
  const residualScale = 1 / Math.sqrt(2 * d.layers);

  const values = (total: number, deviation: number): Float32Array =>
    new Float32Array(total).map(() => normal() * deviation);
  const matrix = (name: string, rows: number, columns: number, scale = 1): Tensor => ({
    name: `${name}.weight`,
    dtype: 'BF16',
    shape: [rows, columns],
    bytes: encodeBf16(values(rows * columns, scale / Math.sqrt(columns))),
  });
  const norm = (name: string, width: number): Tensor => ({
    name: `${name}.weight`,
    dtype: 'BF16',
    shape: [width],
    bytes: encodeBf16(new Float32Array(width).fill(1)),
  });
  const packed = (name: string, rows: number, columns: number, scale = 1): readonly Tensor[] =>
    packInt4(name, values(rows * columns, scale / Math.sqrt(columns)), rows, columns, groupColumns);
  const mlp = (name: string, width: number): readonly Tensor[] => [
    matrix(`${name}.gate_proj`, width, d.hidden),
    matrix(`${name}.up_proj`, width, d.hidden),
    matrix(`${name}.down_proj`, d.hidden, width, residualScale),
  ];

  const attention = (name: string): readonly Tensor[] => [
    matrix(`${name}.q_a_proj`, d.queryLora, d.hidden),
    norm(`${name}.q_a_layernorm`, d.queryLora),
    matrix(`${name}.q_b_proj`, d.heads * (d.nope + d.rope), d.queryLora),
    matrix(`${name}.kv_a_proj_with_mqa`, d.latent + d.rope, d.hidden),
    norm(`${name}.kv_a_layernorm`, d.latent),
    matrix(`${name}.kv_b_proj`, d.heads * (d.nope + d.value), d.latent),
    matrix(`${name}.o_proj`, d.hidden, d.heads * d.value, residualScale),
  ];
  const experts = (name: string): readonly Tensor[] => [
    matrix(`${name}.gate`, d.experts, d.hidden),
    {
      name: `${name}.gate.e_score_correction_bias`,
      dtype: 'F32',
      shape: [d.experts],
      bytes: littleEndian(values(d.experts, biasDeviation)),
    },
    ...Array.from({ length: d.experts }, (_, expert) => [
      ...packed(`${name}.experts.${expert}.gate_proj`, d.expert, d.hidden),
      ...packed(`${name}.experts.${expert}.up_proj`, d.expert, d.hidden),
      ...packed(`${name}.experts.${expert}.down_proj`, d.hidden, d.expert, residualScale),
    ]).flat(),
    ...mlp(`${name}.shared_experts`, d.expert * d.sharedExperts),
  ];

  yield matrix('model.embed_tokens', vocabularySize, d.hidden, Math.sqrt(d.hidden));
  for (let layer = 0; layer < d.layers; layer++) {
    const name = `model.layers.${layer}`;
    yield norm(`${name}.input_layernorm`, d.hidden);
    yield* attention(`${name}.self_attn`);
    yield norm(`${name}.post_attention_layernorm`, d.hidden);
    yield* layer < d.denseLayers ? mlp(`${name}.mlp`, d.dense) : experts(`${name}.mlp`);
  }
  yield norm('model.norm', d.hidden);
  yield matrix('lm_head', vocabularySize, d.hidden);
}

/** Enough to change which experts are chosen, too little to send everything to a few. */
const biasDeviation = 0.02;

/** Standard normal numbers, two from each pair of uniform ones (Box and Muller). */
function buildNormal(random: SeededRandom): () => number {
  let spare: number | null = null;
  return () => {
    if (spare !== null) {
      const value = spare;
      spare = null;
      return value;
    }
    // 1 - u lies in (0, 1]: its logarithm is finite
    const radius = Math.sqrt(-2 * Math.log(1 - random.next()));
    const angle = 2 * Math.PI * random.next();
    spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}
