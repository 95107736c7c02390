import type { SerializedError } from '../base/errors.ts';

/** Typed messages between the engine client (worker) and the engine host (own process). Absent is `null`, never missing. */

export type ChatRole = 'system' | 'user' | 'assistant' | 'tool';

export interface ToolCall {
  /** `functions.<name>:<idx>` */
  readonly id: string;
  /** JSON text, kept as the model wrote it. */
  readonly arguments: string;
}

export interface ChatMessage {
  readonly role: ChatRole;
  readonly content: string;
  /** Header name in place of the role; for tool messages usually null. */
  readonly name: string | null;
  readonly reasoning: string | null;
  readonly toolCalls: readonly ToolCall[] | null;
  readonly toolCallId: string | null;
}

export type AnswerFormat =
  | { readonly type: 'text' }
  /** Any JSON object. */
  | { readonly type: 'json' }
  | { readonly type: 'json-schema'; readonly schema: Readonly<Record<string, unknown>> };

export interface GenerateRequest {
  readonly id: string;
  readonly messages: readonly ChatMessage[];
  /** OpenAI tool declarations, or null. */
  readonly tools: readonly Readonly<Record<string, unknown>>[] | null;
  /** How many leading messages other requests share: they end the prefix that is kept. */
  readonly sharedMessages: number;
  /** Most tokens to produce, reasoning included; null: up to the window. */
  readonly maxTokens: number | null;
  /** 0 is greedy. */
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number;
  readonly stop: readonly string[];
  /** Most tokens of reasoning before the engine closes it; 0 forbids reasoning, null leaves it to the model. */
  readonly thinkingBudget: number | null;
  readonly format: AnswerFormat;
  /** Served before all requests of a higher number; equal ones prefer the prefix that is warm. */
  readonly priority: number;
}

export interface GeneratedToolCall {
  readonly id: string;
  readonly name: string;
  /** JSON text as the model wrote it. */
  readonly arguments: string;
}

export interface GenerateResult {
  readonly reasoning: string;
  readonly content: string;
  readonly toolCalls: readonly GeneratedToolCall[];
  readonly finishReason: 'stop' | 'length' | 'tool_calls';
  /** What of the caller's schema the finished answer breaks, where decoding does not enforce it; null: nothing. */
  readonly schemaError: string | null;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly reasoningTokens: number;
  readonly prefillMs: number;
  readonly decodeMs: number;
  readonly queueMs: number;
  /** Why the shared prefix was not cached; null on a hit. */
  readonly cacheMiss: 'first_of_group' | 'below_minimum' | null;
}

export interface GenerateProgress {
  readonly phase: 'wait' | 'prefill' | 'think' | 'answer';
  readonly promptTokens: number;
  readonly prefilledTokens: number;
  readonly completionTokens: number;
}

/** What a model folder is, as `/v1/models`, `quire model info` and result notices show it. */
export interface ModelCard {
  readonly id: string;
  readonly architecture: string;
  /** Largest prompt plus answer, in tokens. */
  readonly contextTokens: number;
  readonly vocabularySize: number;
  readonly layers: number;
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly parameters: number;
  readonly activeParameters: number;
  readonly weights: 'trained' | 'random';
  /** Shown wherever the model's text is shown; null when there is nothing to say. */
  readonly notice: string | null;
  /** sha256 over config, tokenizer and tensor headers. */
  readonly digest: string;
}

export type ClientMessage =
  | { readonly type: 'generate-start'; readonly request: GenerateRequest }
  | { readonly type: 'generate-cancel'; readonly id: string };

export type HostMessage =
  | { readonly type: 'engine-ready'; readonly card: ModelCard; readonly loadMs: number }
  | { readonly type: 'engine-failed'; readonly error: SerializedError }
  | { readonly type: 'generate-progress'; readonly id: string; readonly progress: GenerateProgress }
  | { readonly type: 'generate-end'; readonly id: string; readonly result: GenerateResult }
  | { readonly type: 'generate-failed'; readonly id: string; readonly error: SerializedError };
