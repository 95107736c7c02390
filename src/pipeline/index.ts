export type {
  DocumentBytes,
  DocumentRef,
  Embed,
  EngineCallOptions,
  Generate,
  LoadDocument,
  OpenDeltas,
} from './ports.ts';
export { presentTokenLogprob } from './present-logprobs.ts';
export { type LineAnswer, LineRunner, type LineRunnerDeps, type LineTask, presentLineError } from './run-line.ts';
