import { type GraphBuilder, intAttribute, microsoftDomain, type ValueName } from '../graph-builder.ts';
import type { ModelConfig } from '../model-config.ts';
import { type RopeConfig, type YarnConfig, yarnMagnitude } from '../rope-config.ts';

/** Angles a position turns each pair by; YaRN interpolates the slow pairs and leaves the fast ones. */
export function inverseFrequencies(rope: RopeConfig, ropeWidth: number): Float32Array {
  const pairs = ropeWidth / 2;
  const plain = Float64Array.from({ length: pairs }, (_, pair) => rope.theta ** (-(2 * pair) / ropeWidth));
  const { yarn } = rope;
  if (yarn === null) return Float32Array.from(plain);
  const [low, high] = rampBorders(yarn, rope.theta, ropeWidth);
  return Float32Array.from(plain, (frequency, pair) => {
    const ramp = Math.min(1, Math.max(0, (pair - low) / (high - low)));
    return (frequency / yarn.factor) * ramp + frequency * (1 - ramp);
  });
}

function rampBorders(yarn: YarnConfig, theta: number, ropeWidth: number): readonly [low: number, high: number] {
  const pairOfTurns = (turns: number): number =>
    (ropeWidth * Math.log(yarn.originalContextTokens / (turns * 2 * Math.PI))) / (2 * Math.log(theta));
  const fast = pairOfTurns(yarn.betaFast);
  const slow = pairOfTurns(yarn.betaSlow);
  const low = Math.max(yarn.truncate ? Math.floor(fast) : fast, 0);
  const high = Math.min(yarn.truncate ? Math.ceil(slow) : slow, ropeWidth - 1);
  // The published form avoids dividing by zero in this way.
  return [low, low === high ? high + 0.001 : high];
}

/** (nope + rope)^-½, times the square of YaRN's magnitude; never 1/√ of the latent width. */
export function softmaxScale(config: ModelConfig): number {
  const { yarn } = config.rope;
  const magnitude = yarn === null || yarn.mscaleAllDim === 0 ? 1 : yarnMagnitude(yarn.factor, yarn.mscaleAllDim);
  return (magnitude * magnitude) / Math.sqrt(config.nopeWidth + config.ropeWidth);
}

export interface RotaryRows {
  /** [tokens, pairs] each. */
  readonly cos: Float32Array;
  readonly sin: Float32Array;
}

/**
 * cos and sin of positions [start, start + tokens). A table for the whole window would take 64 MB at 256K tokens.
 * The angle is a float32 product, as in the implementations the family is trained and served with.
 */
export function computeRotaryRows(
  frequencies: Float32Array,
  attentionFactor: number,
  start: number,
  tokens: number,
): RotaryRows {
  const pairs = frequencies.length;
  const cos = new Float32Array(tokens * pairs);
  const sin = new Float32Array(tokens * pairs);
  for (let token = 0; token < tokens; token++) {
    for (let pair = 0; pair < pairs; pair++) {
      const angle = Math.fround((start + token) * frequencies[pair]!);
      cos[token * pairs + pair] = Math.cos(angle) * attentionFactor;
      sin[token * pairs + pair] = Math.sin(angle) * attentionFactor;
    }
  }
  return { cos, sin };
}

export interface RotaryInputs {
  /** [sequences, tokens]: row of the tables for each new row. */
  readonly rows: ValueName;
  readonly cos: ValueName;
  readonly sin: ValueName;
}

/** Turns interleaved pairs (2i, 2i+1) of [sequences, tokens, heads · width]. */
export function addRotary(
  graph: GraphBuilder,
  input: ValueName,
  rotary: RotaryInputs,
  heads: number,
  width: number,
): ValueName {
  return graph.op(
    'RotaryEmbedding',
    [input, rotary.rows, rotary.cos, rotary.sin],
    { interleaved: intAttribute(1), num_heads: intAttribute(heads), rotary_embedding_dim: intAttribute(width) },
    microsoftDomain,
  );
}
