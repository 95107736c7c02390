import { AppError } from '../../base/errors.ts';
import type { LayerRange } from '../model/architectures/deepseek-v3.ts';
import { isExpertLayer, type ModelConfig } from '../model/model-config.ts';

/** A session of more experts takes long to load: its graph is walked several times. */
const maxExperts = 1024;

/**
 * Cuts the layers below the last into stages of about equal length, each with a graph and a session of its own; what
 * passes between two is one hidden row a token. The last layer belongs to the top.
 * @param wanted null: as few as keep the experts of a graph at 1,024 or fewer
 * @throws `input.config` for fewer than one stage or more than one a layer
 */
export function planStages(config: ModelConfig, wanted: number | null = null): readonly LayerRange[] {
  const layers = config.layers - 1;
  const most = Math.max(1, layers);
  const experts = Array.from({ length: layers }, (_, layer) => (isExpertLayer(config, layer) ? config.experts : 0));
  const total = wanted ?? Math.min(most, Math.ceil(experts.reduce((sum, count) => sum + count, 0) / maxExperts) || 1);
  if (!Number.isInteger(total) || total < 1 || total > most) {
    const what = `the model has ${config.layers} layers, met ${total} stages, allowed: 1 to ${most}`;
    throw new AppError('input.config', what);
  }
  return Array.from({ length: total }, (_, stage) => ({
    first: Math.floor((stage * layers) / total),
    end: Math.floor(((stage + 1) * layers) / total),
  }));
}
