export { type EngineChannel, EngineClient, type EngineClientDeps, type GenerateOptions } from './client.ts';
export type {
  AnswerFormat,
  ChatMessage,
  ChatRole,
  ClientMessage,
  GeneratedToolCall,
  GenerateProgress,
  GenerateRequest,
  GenerateResult,
  HostMessage,
  ModelCard,
  ToolCall,
} from './messages.ts';
export { describeModel } from './model/load-model.ts';
