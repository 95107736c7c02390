export { EngineClient, type EngineClientDeps, type PageCarrier } from './client.ts';
export type { EngineChannel, EngineExit } from './engine-channel.ts';
export type {
  AnswerFormat,
  ChatMessage,
  ChatRole,
  ClientMessage,
  EmbedRequest,
  EmbedResult,
  EngineStats,
  GenerateCheckpoint,
  GenerateDelta,
  GeneratedToolCall,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
  HostMessage,
  ModelCard,
  RestoreStats,
  SamplingOptions,
  SavedPage,
  TierStats,
  TokenChance,
  TokenLogprob,
  ToolCall,
  ToolCallDelta,
  ToolChoice,
  WantedPage,
} from './messages.ts';
export { describeModel } from './model/load-model.ts';
export type { ClientPipe } from './serve.ts';
export type { EmbedOptions, GenerateOptions } from './ticket.ts';
