import type { SamplingOptions } from '../../src/engine/messages.ts';

/** The model's own distribution. */
export const neutralSampling: SamplingOptions = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: null,
  seed: 1,
};
