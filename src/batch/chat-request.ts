import type { AnswerFormat, ChatMessage } from '../engine/index.ts';
import { parseMessages } from './chat-messages.ts';
import { parseTools } from './chat-tools.ts';
import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readMaxTokens,
  readModel,
  readNumber,
  readOneOf,
  readSeed,
  readText,
  readThinkingBudget,
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
  readonly maxTokens: number | null;
  readonly temperature: number;
  readonly topP: number;
  readonly seed: number | null;
  readonly stop: readonly string[];
  /** Most tokens of reasoning; 0 forbids it, null leaves it to the model. */
  readonly thinkingBudget: number | null;
  readonly format: AnswerFormat;
}

const notServed = 'it is not supported; leave it out';

/** OpenAI fields that are not served: accepted at the values that change nothing. */
const unserved: Unserved = {
  stream: { neutral: [false], hint: 'streaming is not available yet; leave it out or set it to false' },
  stream_options: { neutral: [], hint: 'streaming is not available yet; leave it out' },
  n: { neutral: [1], hint: 'only one choice is supported; leave it out or set it to 1' },
  logprobs: { neutral: [false], hint: notServed },
  top_logprobs: { neutral: [0], hint: notServed },
  logit_bias: { neutral: [{}], hint: notServed },
  presence_penalty: { neutral: [0], hint: 'penalties are not supported; leave it out or set it to 0' },
  frequency_penalty: { neutral: [0], hint: 'penalties are not supported; leave it out or set it to 0' },
  parallel_tool_calls: { neutral: [true], hint: 'only true is supported' },
  functions: { neutral: [[]], hint: 'it is not supported; use tools' },
  function_call: { neutral: ['none', 'auto'], hint: 'it is not supported; use tools' },
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
  'max_tokens',
  'max_completion_tokens',
  'temperature',
  'top_p',
  'seed',
  'stop',
  'response_format',
  'thinking',
  'thinking_budget',
  'reasoning_effort',
  'chat_template_kwargs',
];

/** Labels of the caller's own: they ask for nothing that could change the answer. */
const labelFields = ['user', 'safety_identifier', 'prompt_cache_key', 'metadata'];

const knownFields = new Set([...servedFields, ...labelFields, ...Object.keys(unserved)]);

/**
 * Validates a chat completion body.
 * @param models ids that are served here
 * @throws `input.*` with `param`: invalid-request, unknown-field, unsupported, model-not-found
 */
export function parseChatRequest(value: unknown, models: readonly string[]): ChatRequest {
  const body = requireBody(value);
  refuseUnknown(body, knownFields);
  refuseUnserved(body, unserved);
  return {
    model: readModel(body, models),
    messages: parseMessages(body['messages']),
    tools: parseTools(body),
    maxTokens: readMaxTokens(body),
    temperature: readNumber(body, 'temperature', { min: 0, max: 2 }) ?? 1,
    topP: readNumber(body, 'top_p', { min: 0, max: 1, aboveMin: true }) ?? 1,
    seed: readSeed(body),
    stop: parseStop(body['stop']),
    thinkingBudget: parseThinking(body),
    format: parseFormat(body['response_format']),
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

/** Tokens of thought behind OpenAI's words; the last two leave it to the model. */
const effortBudgets = { none: 0, minimal: 256, low: 1_024, medium: 4_096, high: null, xhigh: null } as const;

/** Four servers, four ways to say how much to think; all are read, and must agree. */
function parseThinking(body: Body): number | null {
  const effort = readOneOf(body, 'reasoning_effort', ['none', 'minimal', 'low', 'medium', 'high', 'xhigh']);
  const asked = [
    { field: 'thinking_budget', budget: isAbsent(body['thinking_budget']) ? undefined : readThinkingBudget(body) },
    { field: 'thinking', budget: readThinkingSwitch(body['thinking']) },
    { field: 'chat_template_kwargs', budget: readTemplateSwitch(body['chat_template_kwargs']) },
    { field: 'reasoning_effort', budget: effort === null ? undefined : effortBudgets[effort] },
  ].filter((one): one is { field: string; budget: number | null } => one.budget !== undefined);
  const [first, ...others] = asked;
  if (first === undefined) return null;
  // a switch that is on says nothing about how much, so it agrees with every budget but none
  const budgets = new Set(asked.map(({ budget }) => budget));
  if (budgets.size > 2 || (budgets.size === 2 && (!budgets.has(null) || budgets.has(0)))) {
    const names = [first, ...others].map(({ field }) => field).join(' and ');
    throw invalid(first.field, `${names} contradict each other; give one of them`);
  }
  return asked.find(({ budget }) => budget !== null)?.budget ?? null;
}

const thinkingFields = new Set(['type', 'budget_tokens']);

function readThinkingSwitch(value: unknown): number | null | undefined {
  if (isAbsent(value)) return undefined;
  if (!isPlainObject(value)) throw invalid('thinking', `thinking is ${show(value)}; it must be an object with a type`);
  refuseUnknown(value, thinkingFields, 'thinking.');
  if (value['type'] === 'disabled') return 0;
  if (value['type'] === 'enabled') return readThinkingBudget({ thinking_budget: value['budget_tokens'] });
  throw invalid('thinking.type', `thinking.type is ${show(value['type'])}; it must be one of enabled, disabled`);
}

const templateFields = new Set(['thinking', 'enable_thinking']);

function readTemplateSwitch(value: unknown): number | null | undefined {
  if (isAbsent(value)) return undefined;
  if (!isPlainObject(value)) {
    throw invalid('chat_template_kwargs', `chat_template_kwargs is ${show(value)}; it must be an object`);
  }
  refuseUnknown(value, templateFields, 'chat_template_kwargs.');
  const on = value['thinking'] ?? value['enable_thinking'];
  if (isAbsent(on)) return undefined;
  if (typeof on !== 'boolean') {
    throw invalid(
      'chat_template_kwargs.thinking',
      `chat_template_kwargs.thinking is ${show(on)}; it must be true or false`,
    );
  }
  return on ? null : 0;
}

const formatFields = new Set(['type', 'json_schema']);
const schemaFields = new Set(['name', 'description', 'schema', 'strict']);

function parseFormat(value: unknown): AnswerFormat {
  if (isAbsent(value)) return { type: 'text' };
  if (!isPlainObject(value))
    throw invalid('response_format', `response_format is ${show(value)}; it must be an object`);
  refuseUnknown(value, formatFields, 'response_format.');
  switch (value['type']) {
    case 'text':
      return { type: 'text' };
    case 'json_object':
      return { type: 'json' };
    case 'json_schema':
      return parseSchemaFormat(value['json_schema']);
    default: {
      const met = show(value['type']);
      throw invalid(
        'response_format.type',
        `response_format.type is ${met}; it must be one of text, json_object, json_schema`,
      );
    }
  }
}

function parseSchemaFormat(value: unknown): AnswerFormat {
  const path = 'response_format.json_schema';
  if (!isPlainObject(value)) throw invalid(path, `${path} is ${show(value)}; it must be an object`);
  refuseUnknown(value, schemaFields, `${path}.`);
  readText(value, 'name', `${path}.name`);
  const { schema } = value as { schema?: unknown };
  if (isPlainObject(schema)) return { type: 'json-schema', schema };
  throw invalid(`${path}.schema`, `${path}.schema is ${show(schema)}; it must be a JSON schema object`);
}
