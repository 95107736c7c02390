import type { ModelCard } from '../../engine/index.ts';
import type { ModelObject } from '../schemas/model.schema.ts';

export function presentModel(card: ModelCard, createdSeconds: number): ModelObject {
  return {
    id: card.id,
    object: 'model',
    created: createdSeconds,
    owned_by: 'quire',
    ext: {
      architecture: card.architecture,
      context_tokens: card.contextTokens,
      layers: card.layers,
      experts: card.experts,
      experts_per_token: card.expertsPerToken,
      parameters: card.parameters,
      active_parameters: card.activeParameters,
      weights: card.weights,
      notice: card.notice,
      digest: card.digest,
    },
  };
}
