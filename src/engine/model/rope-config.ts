import type { ConfigReader } from './config-reader.ts';

export interface YarnConfig {
  readonly factor: number;
  readonly originalContextTokens: number;
  readonly betaFast: number;
  readonly betaSlow: number;
  /** Multiplier of cos and sin. */
  readonly attentionFactor: number;
  /** 0: the softmax scale is not changed. */
  readonly mscaleAllDim: number;
  /** Whether the borders of the ramp are rounded to whole pairs. */
  readonly truncate: boolean;
}

export interface RopeConfig {
  readonly theta: number;
  readonly yarn: YarnConfig | null;
}

/** g(s, m) of YaRN: 0.1·m·ln s + 1, and 1 when nothing is stretched. */
export function yarnMagnitude(factor: number, mscale: number): number {
  return factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1;
}

/**
 * `rope_theta` with `rope_scaling` (key `type` or `rope_type`), or the newer `rope_parameters` that holds both.
 * Throws `input.model-folder`.
 */
export function parseRopeConfig(config: ConfigReader): RopeConfig {
  const scaling = config.findObject('rope_scaling') ?? config.findObject('rope_parameters');
  const theta = (scaling?.has('rope_theta') ? scaling : config).positive('rope_theta');
  if (scaling === undefined) return Object.freeze({ theta, yarn: null });
  const typeField = scaling.has('rope_type') ? 'rope_type' : 'type';
  const type = scaling.text(typeField, scaling.values().length === 0 ? 'default' : undefined);
  if (type === 'default') return Object.freeze({ theta, yarn: null });
  if (type !== 'yarn') throw scaling.fail(typeField, 'yarn, default');
  return Object.freeze({ theta, yarn: Object.freeze(parseYarn(scaling)) });
}

function parseYarn(scaling: ConfigReader): YarnConfig {
  const factor = scaling.positive('factor');
  const mscale = scaling.notNegative('mscale', 1);
  const mscaleAllDim = scaling.notNegative('mscale_all_dim', 0);
  const ratio = yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAllDim);
  return {
    factor,
    originalContextTokens: scaling.count('original_max_position_embeddings', 1),
    betaFast: scaling.positive('beta_fast', 32),
    betaSlow: scaling.positive('beta_slow', 1),
    attentionFactor: scaling.positive('attention_factor', ratio),
    mscaleAllDim,
    truncate: scaling.flag('truncate', true),
  };
}
