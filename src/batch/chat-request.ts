import type { AnswerFormat, ChatMessage, ToolChoice } from '../engine/index.ts';
import { parseFormat } from './chat-format.ts';
import { parseMessages } from './chat-messages.ts';
import { type ChatSampling, parseLogprobs, parseSampling } from './chat-sampling.ts';
import { parseStream } from './chat-stream.ts';
import { parseThinking } from './chat-thinking.ts';
import { parseTools } from './chat-tools.ts';
import {
  type Body,
  invalid,
  isAbsent,
  readInteger,
  readMaxTokens,
  readModel,
  readSeed,
  refuseUnknown,
  refuseUnserved,
  requireBody,
  show,
  type Unserved,
} from './request-fields.ts';

/** A validated `/v1/chat/completions` body. Absent is null. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly tools: readonly Body[] | null;
  readonly toolChoice: ToolChoice;
  readonly parallelToolCalls: boolean;
  readonly maxTokens: number | null;
  readonly sampling: ChatSampling;
  readonly seed: number | null;
  /** Answers wanted, 1 to 8. */
  readonly choices: number;
  /** Alternatives reported beside each token of the content; null: no log-probabilities at all. */
  readonly logprobs: number | null;
  readonly stop: readonly string[];
  /** Most tokens of reasoning; 0 forbids it, null leaves it to the model. */
  readonly thinkingBudget: number | null;
  readonly format: AnswerFormat;
  /** How to send the answer while it is written; null: as a whole. */
  readonly stream: { readonly includeUsage: boolean } | null;
}

const notServed = 'it is not supported; leave it out';

/** OpenAI fields that are not served: accepted at the values that change nothing. */
const unserved: Unserved = {
  functions: { neutral: [[]], hint: 'it is not supported; use tools' },
  function_call: { neutral: ['none', 'auto'], hint: 'it is not supported; use tool_choice' },
  store: { neutral: [false], hint: notServed },
  service_tier: { neutral: ['auto', 'default'], hint: notServed },
  modalities: { neutral: [['text']], hint: 'only text is supported' },
  audio: { neutral: [], hint: notServed },
  prediction: { neutral: [], hint: notServed },
  web_search_options: { neutral: [], hint: notServed },
  verbosity: { neutral: ['medium'], hint: notServed },
  prompt_cache_retention: { neutral: ['in_memory', 'in-memory'], hint: notServed },
  prompt_cache_options: { neutral: [{}], hint: notServed },
};

const servedFields = [
  'model',
  'messages',
  'tools',
  'tool_choice',
  'parallel_tool_calls',
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'repetition_penalty',
  'logit_bias',
  'seed',
  'n',
  'logprobs',
  'top_logprobs',
  'stop',
  'response_format',
  'thinking',
  'thinking_budget',
  'reasoning_effort',
  'chat_template_kwargs',
  'stream',
  'stream_options',
];

/** Labels of the caller's own: they ask for nothing that could change the answer. */
const labelFields = ['user', 'safety_identifier', 'prompt_cache_key', 'metadata'];

const knownFields = new Set([...servedFields, ...labelFields, ...Object.keys(unserved)]);

/** Answers side by side over one prompt; more of them are lines of a batch. */
const maxChoices = 8;

/**
 * Validates a chat completion body.
 * @param models ids that are served here
 * @param streaming may the answer be sent while it is written? Not that of a line of a batch
 * @throws `input.*` with `param`: invalid-request, unknown-field, unsupported, model-not-found
 */
export function parseChatRequest(value: unknown, models: readonly string[], streaming: boolean): ChatRequest {
  const body = requireBody(value);
  refuseUnknown(body, knownFields);
  refuseUnserved(body, unserved);
  return {
    model: readModel(body, models),
    messages: parseMessages(body['messages']),
    ...parseTools(body),
    maxTokens: readMaxTokens(body),
    sampling: parseSampling(body),
    seed: readSeed(body),
    choices: readInteger(body, 'n', { min: 1, max: maxChoices }) ?? 1,
    logprobs: parseLogprobs(body),
    stop: parseStop(body['stop']),
    thinkingBudget: parseThinking(body),
    format: parseFormat(body['response_format']),
    stream: parseStream(body, streaming),
  };
}

const maxStops = 4;

function parseStop(value: unknown): readonly string[] {
  if (isAbsent(value)) return [];
  const stops: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (stops.length <= maxStops && stops.every((stop) => typeof stop === 'string' && stop !== '')) {
    return stops as readonly string[];
  }
  throw invalid('stop', `stop is ${show(value)}; it must be a non-empty string or at most ${maxStops} of them`);
}
