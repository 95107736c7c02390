import { AppError } from '../base/errors.ts';
import {
  type Body,
  invalid,
  isAbsent,
  readInteger,
  readModel,
  readOneOf,
  refuseUnknown,
  requireBody,
  show,
} from './request-fields.ts';

/** A validated `/v1/embeddings` body. */
export interface EmbeddingsRequest {
  readonly model: string;
  /** Texts, or token ids of the model's own tokenizer. */
  readonly inputs: readonly (string | readonly number[])[];
  readonly encoding: 'float' | 'base64';
}

/** `user` is a label of the caller's own. */
const knownFields = new Set(['model', 'input', 'encoding_format', 'dimensions', 'user']);

/** OpenAI's limit. */
const maxInputs = 2_048;

/**
 * Validates an embeddings body. Whether token ids exist and inputs fit the window is found out by the engine.
 * @param widths values of an embedding, by model
 * @throws `input.*` with `param`: invalid-request, unknown-field, unsupported, model-not-found
 */
export function parseEmbeddingsRequest(
  value: unknown,
  models: readonly string[],
  widths: Readonly<Record<string, number>>,
): EmbeddingsRequest {
  const body = requireBody(value);
  refuseUnknown(body, knownFields);
  const model = readModel(body, models);
  checkDimensions(body, widths[model] ?? null);
  return {
    model,
    inputs: parseInputs(body['input']),
    encoding: readOneOf(body, 'encoding_format', ['float', 'base64']) ?? 'float',
  };
}

/** A shorter vector than the model's own would be another embedding: nobody trained its first values to stand alone. */
function checkDimensions(body: Body, width: number | null): void {
  const dimensions = readInteger(body, 'dimensions', { min: 1, max: Number.MAX_SAFE_INTEGER });
  if (dimensions === null || dimensions === width) return;
  const allowed = width === null ? 'it is not supported' : `this model has ${width}`;
  throw new AppError('input.unsupported', `dimensions is ${dimensions}; ${allowed}; leave it out`, {
    param: 'dimensions',
  });
}

const allowedInput = 'it must be a string, token ids, or an array of either';

function parseInputs(input: unknown): EmbeddingsRequest['inputs'] {
  if (isAbsent(input)) throw invalid('input', 'input is required');
  if (typeof input === 'string') return [parseText(input, 'input')];
  if (!Array.isArray(input)) throw invalid('input', `input is ${show(input)}; ${allowedInput}`);
  if (input.length === 0) throw invalid('input', `input is an array of 0; ${allowedInput}`);
  if (typeof input[0] === 'number') return [parseTokens(input, 'input')];
  if (input.length > maxInputs) {
    throw invalid('input', `input has ${input.length} entries; at most ${maxInputs} are allowed`);
  }
  return input.map((one: unknown, index) => {
    const path = `input[${index}]`;
    if (typeof one === 'string') return parseText(one, path);
    if (Array.isArray(one)) return parseTokens(one, path);
    throw invalid(path, `${path} is ${show(one)}; it must be a string or token ids`);
  });
}

function parseText(text: string, path: string): string {
  if (text !== '') return text;
  throw invalid(path, `${path} is ""; it must not be empty`);
}

function parseTokens(tokens: readonly unknown[], path: string): readonly number[] {
  if (tokens.length === 0) throw invalid(path, `${path} is an array of 0; it must not be empty`);
  const wrong = tokens.findIndex((token) => !Number.isSafeInteger(token) || (token as number) < 0);
  if (wrong < 0) return tokens as readonly number[];
  const at = `${path}[${wrong}]`;
  throw invalid(at, `${at} is ${show(tokens[wrong])}; it must be a token id, a whole number from 0`);
}
