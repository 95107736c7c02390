import type { GenerateRequest, SamplingOptions } from '../engine/index.ts';

/** Sampling that changes nothing: the model's own distribution. */
export const neutralSampling: Omit<SamplingOptions, 'seed'> = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: null,
};

/** What most requests leave as it is. */
export const engineDefaults: Pick<GenerateRequest, 'stream' | 'checkpointEvery' | 'resume'> = {
  stream: false,
  // what a lost engine process costs a line at the most
  checkpointEvery: { tokens: 64, ms: 5_000 },
  resume: null,
};
