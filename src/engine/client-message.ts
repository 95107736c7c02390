import { AppError } from '../base/errors.ts';
import type {
  ChatMessage,
  ClientMessage,
  EmbedRequest,
  GenerateCheckpoint,
  GenerateRequest,
  SamplingOptions,
  ToolCall,
} from './messages.ts';

/**
 * Outline of every message a client may send: a message that passes cannot make the engine fail for a missing or
 * mistaken field. Values are the engine's to judge: what a temperature may be, which schema can be followed.
 */
type Check = (value: unknown) => boolean;

type Fields<Name extends string = string> = Readonly<Record<Name, Check>>;

const isText: Check = (value) => typeof value === 'string';
const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isFlag: Check = (value) => typeof value === 'boolean';
const isAnyRecord: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const record =
  (fields: Fields): Check =>
  (value) =>
    isAnyRecord(value) && findWrong(value as Record<string, unknown>, fields) === undefined;

function findWrong(value: Readonly<Record<string, unknown>>, fields: Fields): string | undefined {
  return Object.keys(fields).find((field) => fields[field]?.(value[field]) !== true);
}

const call = record({ id: isText, arguments: isText } satisfies Fields<keyof ToolCall>);

const message = record({
  role: (value) => ['system', 'user', 'assistant', 'tool'].includes(value as string),
  content: isText,
  name: orNull(isText),
  reasoning: orNull(isText),
  toolCalls: orNull(listOf(call)),
  toolCallId: orNull(isText),
} satisfies Fields<keyof ChatMessage>);

const sampling = record({
  temperature: isNumber,
  topP: isNumber,
  topK: isNumber,
  minP: isNumber,
  presencePenalty: isNumber,
  frequencyPenalty: isNumber,
  repetitionPenalty: isNumber,
  logitBias: orNull(listOf((pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isNumber))),
  seed: isNumber,
} satisfies Fields<keyof SamplingOptions>);

const resume = record({
  version: isNumber,
  engineDigest: isText,
  promptDigest: isText,
  tokenIds: listOf(isNumber),
  draws: isNumber,
  logprobs: orNull(listOf(isAnyRecord)),
  isLed: (value) => value === undefined || isFlag(value),
  cachedTokens: isNumber,
  cacheMiss: orNull(isText),
  pages: listOf(isText),
} satisfies Fields<keyof GenerateCheckpoint>);

const isFormat: Check = (value) => {
  const { type, schema } = (isAnyRecord(value) ? value : {}) as { readonly type?: unknown; readonly schema?: unknown };
  return type === 'text' || type === 'json' || (type === 'json-schema' && isAnyRecord(schema));
};

const isToolChoice: Check = (value) => {
  const { type, name } = (isAnyRecord(value) ? value : {}) as { readonly type?: unknown; readonly name?: unknown };
  return type === 'auto' || type === 'required' || (type === 'function' && isText(name));
};

const generateFields: Fields<keyof GenerateRequest> = {
  id: isText,
  tenant: isText,
  messages: listOf(message),
  tools: orNull(listOf(isAnyRecord)),
  argumentSchemas: orNull((value) => isAnyRecord(value) && Object.values(value as object).every(isAnyRecord)),
  toolChoice: isToolChoice,
  parallelToolCalls: isFlag,
  sharedMessages: isNumber,
  maxTokens: orNull(isNumber),
  sampling,
  logprobs: orNull(isNumber),
  stop: listOf(isText),
  thinkingBudget: orNull(isNumber),
  format: isFormat,
  priority: isNumber,
  deadlineMs: orNull(isNumber),
  stream: isFlag,
  checkpointEvery: orNull(record({ tokens: isNumber, ms: isNumber })),
  resume: orNull(resume),
};

const embedFields: Fields<keyof EmbedRequest> = {
  id: isText,
  inputs: listOf((input) => isText(input) || listOf(isNumber)(input)),
  priority: isNumber,
  deadlineMs: orNull(isNumber),
};

const arrivedFields = {
  path: isText,
  found: isFlag,
  bytesPerSecond: orNull(isNumber),
} satisfies Fields<keyof Omit<Extract<ClientMessage, { type: 'page-arrived' }>, 'type'>>;

const requestFields: Readonly<Record<string, Fields>> = {
  'generate-start': generateFields,
  'embed-start': embedFields,
};

/**
 * @throws `input.invalid-request` naming the first field that is missing or of a wrong type; `corrupt.record` where it
 *   is the checkpoint, without which the request could be answered
 */
export function parseClientMessage(value: unknown): ClientMessage {
  if (!isAnyRecord(value)) throw wrong('the message', value);
  const { type, id, request } = value as { readonly type?: unknown; readonly id?: unknown; readonly request?: unknown };
  if (type === 'cancel' || type === 'checkpoint') {
    if (!isText(id)) throw wrong('id', id);
    return value as ClientMessage;
  }
  if (type === 'page-arrived') {
    const field = findWrong(value as Record<string, unknown>, arrivedFields);
    if (field !== undefined) throw wrong(field, (value as Record<string, unknown>)[field]);
    return value as ClientMessage;
  }
  const fields = typeof type === 'string' && Object.hasOwn(requestFields, type) ? requestFields[type] : undefined;
  if (fields === undefined) throw wrong('type', type);
  if (!isAnyRecord(request)) throw wrong('request', request);
  const field = findWrong(request as Record<string, unknown>, fields);
  if (field === 'resume') throw new AppError('corrupt.record', 'engine message: request.resume is no checkpoint');
  if (field !== undefined) throw wrong(`request.${field}`, (request as Record<string, unknown>)[field]);
  return value as ClientMessage;
}

/** Id of the request a message is about, as far as it can be told; the empty text when it cannot. */
export function findRequestId(value: unknown): string {
  if (!isAnyRecord(value)) return '';
  const { id, request } = value as { readonly id?: unknown; readonly request?: { readonly id?: unknown } | null };
  const found = id ?? request?.id;
  return typeof found === 'string' ? found : '';
}

/** Kinds only: a value may be a document. */
function wrong(field: string, met: unknown): AppError {
  const kind = met === null ? 'null' : Array.isArray(met) ? 'an array' : met === undefined ? 'missing' : typeof met;
  return new AppError('input.invalid-request', `engine message: ${field} is ${kind}, not what the protocol says`, {
    param: field,
  });
}
