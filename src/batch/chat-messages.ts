import { AppError } from '../base/errors.ts';
import type { ChatMessage, ToolCall } from '../engine/index.ts';
import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readText,
  refuseUnknown,
  refuseUnserved,
  show,
} from './request-fields.ts';

/** OpenAI's message roles → the model's. */
const roles: Readonly<Record<string, ChatMessage['role']>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
};

const commonFields = ['role', 'content', 'name'];
const fieldsOf: Readonly<Record<ChatMessage['role'], ReadonlySet<string>>> = {
  system: new Set(commonFields),
  user: new Set(commonFields),
  tool: new Set([...commonFields, 'tool_call_id']),
  assistant: new Set([
    ...commonFields,
    'tool_calls',
    'reasoning',
    'reasoning_content',
    'refusal',
    'annotations',
    'audio',
    'function_call',
    'partial',
  ]),
};

/** What an answer of ours or of OpenAI carries when it is sent back as history. */
const unservedInAnswers = {
  refusal: { neutral: [], hint: 'refusals in history are not supported' },
  annotations: { neutral: [[]], hint: 'annotations are not supported' },
  audio: { neutral: [], hint: 'audio is not supported' },
  function_call: { neutral: [], hint: 'function_call is not supported; use tool_calls' },
  partial: { neutral: [false], hint: 'continuing a partial message is not supported' },
};

/**
 * `messages` of a chat completion → messages of the engine. Content parts of type text are joined.
 * Ids of past tool calls become `functions.<name>:<index>`, the form the model was trained on; answers follow their calls.
 * @throws `input.invalid-request`, `input.unknown-field`, `input.unsupported`, each naming `messages[n].field`
 */
export function parseMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw invalid(
      'messages',
      isAbsent(value) ? 'messages is required' : `messages is ${show(value)}; it must be a non-empty array`,
    );
  }
  const calls = new ToolCallIds();
  return value.map((message: unknown, index) => parseMessage(message, `messages[${index}]`, calls));
}

function parseMessage(value: unknown, path: string, calls: ToolCallIds): ChatMessage {
  if (!isPlainObject(value)) throw invalid(path, `${path} is ${show(value)}; it must be an object`);
  const role = typeof value['role'] === 'string' ? roles[value['role']] : undefined;
  if (role === undefined) {
    const allowed = Object.keys(roles).join(', ');
    throw invalid(`${path}.role`, `${path}.role is ${show(value['role'])}; it must be one of ${allowed}`);
  }
  refuseUnknown(value, fieldsOf[role], `${path}.`);
  if (role === 'assistant') refuseUnserved(value, unservedInAnswers, `${path}.`);
  const toolCalls = role === 'assistant' ? parseToolCalls(value['tool_calls'], `${path}.tool_calls`, calls) : null;
  return {
    role,
    content: parseContent(value, path, role, toolCalls !== null),
    name: isAbsent(value['name']) ? null : readText(value, 'name', `${path}.name`),
    reasoning: role === 'assistant' ? parseReasoning(value, path) : null,
    toolCalls,
    toolCallId: role === 'tool' ? calls.find(readText(value, 'tool_call_id', `${path}.tool_call_id`), path) : null,
  };
}

function parseContent(message: Body, path: string, role: ChatMessage['role'], hasCalls: boolean): string {
  const { content } = message as { content?: unknown };
  if (typeof content === 'string') return content;
  if (Array.isArray(content))
    return content.map((part: unknown, index) => parsePart(part, `${path}.content[${index}]`)).join('');
  // an assistant that only thought or only called tools has no content
  if (isAbsent(content) && role === 'assistant' && (hasCalls || parseReasoning(message, path) !== null)) return '';
  throw invalid(
    `${path}.content`,
    `${path}.content is ${show(content)}; it must be a string or an array of text parts`,
  );
}

const partFields = new Set(['type', 'text']);

function parsePart(part: unknown, path: string): string {
  if (!isPlainObject(part)) throw invalid(path, `${path} is ${show(part)}; it must be an object`);
  if (part['type'] !== 'text') {
    const message = `${path}.type is ${show(part['type'])}; only text parts are supported`;
    throw new AppError('input.unsupported', message, { param: `${path}.type` });
  }
  refuseUnknown(part, partFields, `${path}.`);
  if (typeof part['text'] === 'string') return part['text'];
  throw invalid(`${path}.text`, `${path}.text is ${show(part['text'])}; it must be a string`);
}

/** Two servers, two names for one thing: both are read, for history that came from either. */
function parseReasoning(message: Body, path: string): string | null {
  for (const field of ['reasoning_content', 'reasoning']) {
    const value = message[field];
    if (isAbsent(value)) continue;
    if (typeof value !== 'string') {
      throw invalid(`${path}.${field}`, `${path}.${field} is ${show(value)}; it must be a string`);
    }
    if (value !== '') return value;
  }
  return null;
}

const callFields = new Set(['id', 'type', 'function', 'index']);
const functionFields = new Set(['name', 'arguments']);

function parseToolCalls(value: unknown, path: string, calls: ToolCallIds): ToolCall[] | null {
  if (isAbsent(value) || (Array.isArray(value) && value.length === 0)) return null;
  if (!Array.isArray(value)) throw invalid(path, `${path} is ${show(value)}; it must be an array`);
  return value.map((call: unknown, index) => {
    const at = `${path}[${index}]`;
    if (!isPlainObject(call)) throw invalid(at, `${at} is ${show(call)}; it must be an object`);
    refuseUnknown(call, callFields, `${at}.`);
    const declared = call['function'];
    if (!isPlainObject(declared)) {
      throw invalid(`${at}.function`, `${at}.function is ${show(declared)}; it must be an object`);
    }
    refuseUnknown(declared, functionFields, `${at}.function.`);
    const name = readText(declared, 'name', `${at}.function.name`);
    const { arguments: text } = declared as { arguments?: unknown };
    if (typeof text !== 'string') {
      throw invalid(`${at}.function.arguments`, `${at}.function.arguments is ${show(text)}; it must be JSON text`);
    }
    return { id: calls.rename(readText(call, 'id', `${at}.id`), name), arguments: text };
  });
}

/** Numbers the tool calls of a conversation in order, and finds them again by the caller's ids. */
class ToolCallIds {
  readonly #ours = new Map<string, string>();
  #total = 0;

  rename(theirs: string, name: string): string {
    const ours = `functions.${name}:${this.#total}`;
    this.#total += 1;
    this.#ours.set(theirs, ours);
    return ours;
  }

  find(theirs: string, path: string): string {
    const ours = this.#ours.get(theirs);
    if (ours !== undefined) return ours;
    throw invalid(
      `${path}.tool_call_id`,
      `${path}.tool_call_id ${show(theirs)} names no tool call of an earlier message`,
    );
  }
}
