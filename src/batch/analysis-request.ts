import { AppError } from '../base/errors.ts';
import { parseFileId } from '../base/ids.ts';
import {
  type Body,
  invalid,
  isAbsent,
  isPlainObject,
  readBoolean,
  readInteger,
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
} from './request-fields.ts';

/** How a request names a document: an uploaded file, an object of the bucket, or the text itself. */
export type DocumentRef =
  | { readonly fileId: string }
  | { readonly key: string }
  | { readonly name: string; readonly text: string };

/** A validated `/v1/analyses` body. Absent is null. */
export interface AnalysisRequest {
  readonly model: string;
  readonly documents: readonly DocumentRef[];
  readonly question: string;
  readonly answer: 'json' | 'text';
  /** JSON schema of `answer`; only with `answer: 'json'`. */
  readonly schema: Body | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
  readonly temperature: number;
  readonly thinkingBudget: number | null;
  /** Most tool calls the model may make on its way to the answer; null: it has no tools. */
  readonly maxToolCalls: number | null;
  /** The model checks its answer's citations once and answers again. */
  readonly reflect: boolean;
}

const knownFields = new Set([
  'model',
  'documents',
  'question',
  'answer',
  'schema',
  'max_completion_tokens',
  'max_tokens',
  'seed',
  'temperature',
  'thinking_budget',
  'tools',
  'max_tool_calls',
  'reflect',
  'stream',
]);

const unserved = {
  stream: { neutral: [false], hint: 'an analysis is answered as a whole; leave it out or set it to false' },
};

/**
 * Validates an analysis body. Whether the documents exist is found out when they are read.
 * @throws `input.*` with `param`: invalid-request, unknown-field, unsupported, model-not-found, document-not-found
 */
export function parseAnalysisRequest(value: unknown, models: readonly string[]): AnalysisRequest {
  const body = requireBody(value);
  refuseUnknown(body, knownFields);
  refuseUnserved(body, unserved);
  const schema = parseSchema(body['schema']);
  // json is what carries quotes that can be checked
  const answer = readOneOf(body, 'answer', ['json', 'text']) ?? 'json';
  if (schema !== null && answer === 'text') throw invalid('schema', 'schema needs answer "json"; answer is "text"');
  return {
    model: readModel(body, models),
    documents: parseDocuments(body['documents']),
    question: readText(body, 'question'),
    answer,
    schema,
    maxTokens: readMaxTokens(body),
    seed: readSeed(body),
    temperature: readNumber(body, 'temperature', { min: 0, max: 2 }) ?? 0,
    thinkingBudget: readThinkingBudget(body),
    maxToolCalls: readToolCalls(body),
    reflect: readBoolean(body, 'reflect') ?? false,
  };
}

const defaultToolCalls = 32;
const mostToolCalls = 512;

function readToolCalls(body: Body): number | null {
  const hasTools = readBoolean(body, 'tools') ?? false;
  const most = readInteger(body, 'max_tool_calls', { min: 1, max: mostToolCalls });
  if (hasTools) return most ?? defaultToolCalls;
  if (most !== null) throw invalid('max_tool_calls', `max_tool_calls is ${most}; it needs tools true`);
  return null;
}

function parseSchema(value: unknown): Body | null {
  if (isAbsent(value)) return null;
  if (isPlainObject(value)) return value;
  throw invalid('schema', `schema is ${show(value)}; it must be a JSON schema object`);
}

const maxDocuments = 64;

function parseDocuments(value: unknown): readonly DocumentRef[] {
  if (Array.isArray(value) && value.length >= 1 && value.length <= maxDocuments) {
    return value.map((document: unknown, index) => parseDocument(document, `documents[${index}]`));
  }
  const met = isAbsent(value) ? 'documents is required' : `documents is ${show(value)}`;
  throw invalid('documents', `${met}; it must be an array of 1 to ${maxDocuments} documents`);
}

const fileFields = new Set(['file_id']);
const keyFields = new Set(['key']);
const textFields = new Set(['name', 'text']);

function parseDocument(value: unknown, path: string): DocumentRef {
  if (!isPlainObject(value)) throw invalid(path, `${path} is ${show(value)}; it must be an object`);
  if ('file_id' in value) {
    refuseUnknown(value, fileFields, `${path}.`);
    return { fileId: parseDocumentFile(readText(value, 'file_id', `${path}.file_id`), path) };
  }
  if ('key' in value) {
    refuseUnknown(value, keyFields, `${path}.`);
    return { key: parseKey(readText(value, 'key', `${path}.key`), path) };
  }
  refuseUnknown(value, textFields, `${path}.`);
  if (!('text' in value)) throw invalid(path, `${path} names no document; give file_id, key, or name and text`);
  return { name: readText(value, 'name', `${path}.name`), text: readText(value, 'text', `${path}.text`) };
}

function parseDocumentFile(id: string, path: string): string {
  try {
    return parseFileId(id);
  } catch (cause) {
    throw new AppError('input.document-not-found', `no such file: ${show(id)}`, { param: `${path}.file_id`, cause });
  }
}

/** The bucket's own records are nobody's documents: other tenants' files and answers lie there. */
const internalPrefix = 'v1/';
const maxKeyBytes = 1_024;

function parseKey(key: string, path: string): string {
  const param = `${path}.key`;
  const bytes = Buffer.byteLength(key);
  if (bytes > maxKeyBytes) throw invalid(param, `${param} has ${bytes} bytes; at most ${maxKeyBytes} are allowed`);
  if (key.startsWith(internalPrefix)) {
    throw new AppError(
      'input.document-not-found',
      `${param} is ${show(key)}; keys under ${internalPrefix} are internal`,
      { param },
    );
  }
  return key;
}
