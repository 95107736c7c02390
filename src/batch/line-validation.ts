import { isUtf8 } from 'node:buffer';
import { type BatchError, type Line, type LineUrl, lineUrls } from './records.schema.ts';
import { isDeeperThan, isPlainObject } from './request-fields.ts';
import { type SplitLine, splitLines } from './split-lines.ts';

/**
 * Validation of an input file, line by line, in bounded memory: one line, plus the custom ids seen.
 *
 * V1. Every bad line is reported once, with its 1-based number, in order.
 * V2. What is checked here fails the whole batch; what is wrong inside a body is that line's own error, later.
 * V3. Blank lines at the end of the file are no lines; elsewhere they are bad ones.
 */
export interface LineLimits {
  readonly maxLines: number;
  readonly maxLineBytes: number;
}

export interface LineValidationOptions {
  /** Every line's `url` must equal it. */
  readonly endpoint: string;
  readonly limits: LineLimits;
}

export type ValidatedLine =
  | { readonly type: 'line'; readonly line: Line }
  | { readonly type: 'error'; readonly error: BatchError };

/** custom ids are echoed in full, so they have an end: OpenAI allows 64 characters, we are lenient. */
const maxCustomIdCharacters = 512;

/** Deeper JSON serves nobody and would overflow the stack of whoever walks it. */
const maxDepth = 100;

const lineFields = ['custom_id', 'method', 'url', 'body'];

/** Lines and errors in file order; at the end an error without line number when there is no line at all, or too many. */
export async function* validateLines(
  source: AsyncIterable<Uint8Array>,
  options: LineValidationOptions,
): AsyncGenerator<ValidatedLine> {
  const { limits } = options;
  const firstLineOf = new Map<string, number>();
  let lineTotal = 0;
  let blankFrom: number | null = null;
  for await (const split of splitLines(source, limits.maxLineBytes)) {
    if (isBlank(split)) {
      blankFrom ??= split.number;
      continue;
    }
    lineTotal += 1;
    // the rest is only counted, so that the message can say how many there are
    if (lineTotal > limits.maxLines) continue;
    if (blankFrom !== null) yield* blankErrors(blankFrom, split.number, limits.maxLines);
    blankFrom = null;
    const checked = checkLine(split, options, lineTotal - 1);
    if (checked.type === 'error') {
      yield checked;
      continue;
    }
    const { custom_id: customId } = checked.line;
    const first = firstLineOf.get(customId);
    if (first === undefined) {
      firstLineOf.set(customId, split.number);
      yield checked;
    } else {
      const message = `custom_id ${quote(customId)} is used by line ${first} already; it must be unique in the file`;
      yield bad('duplicate_custom_id', message, 'custom_id', split.number);
    }
  }
  if (lineTotal === 0) yield bad('empty_batch', 'the input file has no line', null, null);
  if (lineTotal > limits.maxLines) {
    const message = `the input file has ${lineTotal} lines; at most ${limits.maxLines} are allowed`;
    yield bad('too_many_tasks', message, null, null);
  }
}

/** A file of nothing but line ends must not become a list without end. */
function* blankErrors(start: number, end: number, most: number): Generator<ValidatedLine> {
  for (let number = start; number < Math.min(end, start + most); number++) {
    yield bad('invalid_json_line', 'the line is blank; it must be a JSON object', null, number);
  }
}

function isBlank({ bytes }: SplitLine): boolean {
  return bytes?.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d) ?? false;
}

function checkLine(split: SplitLine, { endpoint, limits }: LineValidationOptions, index: number): ValidatedLine {
  const { number, bytes, byteTotal } = split;
  if (bytes === null) {
    return bad(
      'line_too_long',
      `the line has ${byteTotal} bytes; at most ${limits.maxLineBytes} are allowed`,
      null,
      number,
    );
  }
  if (!isUtf8(bytes)) return bad('invalid_encoding', 'the line is not valid UTF-8', null, number);
  const value = parseJson(bytes.toString('utf8'));
  if (!isPlainObject(value)) {
    const what = value === undefined ? 'is not valid JSON' : `is JSON but ${describe(value)}`;
    return bad('invalid_json_line', `the line ${what}; it must be a JSON object`, null, number);
  }
  if (isDeeperThan(value, maxDepth)) {
    return bad('invalid_json_line', `the line is nested deeper than ${maxDepth} levels`, null, number);
  }
  const unknown = Object.keys(value).find((field) => !lineFields.includes(field));
  if (unknown !== undefined) {
    const message = `unknown field ${quote(unknown)}; a line has ${lineFields.join(', ')}`;
    return bad('unknown_parameter', message, unknown.slice(0, 80), number);
  }
  return checkFields(value, endpoint, index, number);
}

function checkFields(
  value: Readonly<Record<string, unknown>>,
  endpoint: string,
  index: number,
  number: number,
): ValidatedLine {
  const { custom_id: customId, method, url, body } = value as Record<(typeof lineFields)[number], unknown>;
  if (customId === undefined || customId === null || customId === '') {
    return bad('missing_custom_id', 'custom_id is missing; every line needs one', 'custom_id', number);
  }
  if (typeof customId !== 'string' || customId.length > maxCustomIdCharacters) {
    const met = typeof customId === 'string' ? `${customId.length} characters` : describe(customId);
    const message = `custom_id is ${met}; it must be a string of at most ${maxCustomIdCharacters} characters`;
    return bad('invalid_custom_id', message, 'custom_id', number);
  }
  if (method !== 'POST')
    return bad('invalid_method', `method is ${quote(method)}; it must be "POST"`, 'method', number);
  if (!isLineUrl(url)) {
    return bad('invalid_url', `url is ${quote(url)}; it must be one of ${lineUrls.join(', ')}`, 'url', number);
  }
  if (url !== endpoint) {
    return bad('url_mismatch', `url is ${quote(url)}; the batch was created for ${endpoint}`, 'url', number);
  }
  if (!isPlainObject(body)) {
    return bad('invalid_body', `body is ${describe(body)}; it must be a JSON object`, 'body', number);
  }
  return { type: 'line', line: { index, custom_id: customId, url, body } };
}

export function isLineUrl(url: unknown): url is LineUrl {
  return lineUrls.some((known) => known === url);
}

function bad(code: string, message: string, param: string | null, line: number | null): ValidatedLine {
  return { type: 'error', error: { code, message, param, line } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return `a ${typeof value}`;
}

const quote = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);
