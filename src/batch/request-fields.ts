import { AppError } from '../base/errors.ts';

/** Reading of request bodies: unknown JSON → typed values, every refusal naming field, value met and values allowed. */
export type Body = Readonly<Record<string, unknown>>;

export function isPlainObject(value: unknown): value is Body {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Walks at most `levels` deep, so it cannot overflow whatever it is given. */
export function isDeeperThan(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  return Object.values(value).some((member) => isDeeperThan(member, levels - 1));
}

/** A value as a message may repeat it: short, one line. */
export function show(value: unknown): string {
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (isPlainObject(value)) return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

export function invalid(param: string, message: string): AppError {
  return new AppError('input.invalid-request', message, { param });
}

export function isAbsent(value: unknown): value is undefined | null {
  return value === undefined || value === null;
}

export interface NumberRange {
  readonly min: number;
  readonly max: number;
  /** `min` itself is not allowed. */
  readonly aboveMin?: boolean;
  /** `max` itself is not allowed. */
  readonly belowMax?: boolean;
}

/** null when absent. @throws `input.invalid-request` */
export function readNumber(body: Body, field: string, range: NumberRange): number | null {
  const value = body[field];
  if (isAbsent(value)) return null;
  const { min, max, aboveMin = false, belowMax = false } = range;
  const isInside = typeof value === 'number' && value >= min && value <= max;
  if (isInside && !(aboveMin && value === min) && !(belowMax && value === max)) return value;
  const allowed = `${aboveMin ? 'above' : 'from'} ${min} ${belowMax ? 'to below' : 'up to'} ${max}`;
  throw invalid(field, `${field} is ${show(value)}; it must be a number ${allowed}`);
}

/** null when absent. @throws `input.invalid-request` */
export function readBoolean(body: Body, field: string, path = field): boolean | null {
  const value = body[field];
  if (isAbsent(value)) return null;
  if (typeof value === 'boolean') return value;
  throw invalid(path, `${path} is ${show(value)}; it must be true or false`);
}

/** null when absent. @throws `input.invalid-request` */
export function readInteger(body: Body, field: string, range: NumberRange, path = field): number | null {
  const value = body[field];
  if (isAbsent(value)) return null;
  if (Number.isSafeInteger(value) && (value as number) >= range.min && (value as number) <= range.max) {
    return value as number;
  }
  throw invalid(path, `${path} is ${show(value)}; it must be a whole number from ${range.min} to ${range.max}`);
}

/** @throws `input.invalid-request` when absent, empty or no string */
export function readText(body: Body, field: string, path = field): string {
  const value = body[field];
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(
    path,
    isAbsent(value) ? `${path} is required` : `${path} is ${show(value)}; it must be a non-empty string`,
  );
}

/** null when absent. @throws `input.invalid-request` */
export function readOneOf<const Allowed extends readonly string[]>(
  body: Body,
  field: string,
  allowed: Allowed,
): Allowed[number] | null {
  const value = body[field];
  if (isAbsent(value)) return null;
  const found = allowed.find((known) => known === value);
  if (found !== undefined) return found;
  throw invalid(field, `${field} is ${show(value)}; it must be one of ${allowed.join(', ')}`);
}

/** More than these are not named: a body of nothing but unknown fields needs no list. */
const namedFields = 8;

/** @throws `input.unknown-field` naming the fields that are not in `known` */
export function refuseUnknown(body: Body, known: ReadonlySet<string>, path = ''): void {
  const unknown = Object.keys(body).filter((field) => !known.has(field));
  if (unknown.length === 0) return;
  const names = unknown.slice(0, namedFields).map((field) => `${path}${field.slice(0, 80)}`);
  const more = unknown.length > namedFields ? ` and ${unknown.length - namedFields} more` : '';
  const noun = unknown.length === 1 ? 'field' : 'fields';
  throw new AppError('input.unknown-field', `unknown ${noun} ${names.join(', ')}${more}`, { param: names[0] ?? path });
}

/** Fields of the API that are not served: for each, the values that mean the same as leaving it out. */
export type Unserved = Readonly<Record<string, { readonly neutral: readonly unknown[]; readonly hint: string }>>;

/** @throws `input.unsupported` naming the first field whose value asks for something */
export function refuseUnserved(body: Body, unserved: Unserved, path = ''): void {
  for (const [field, { neutral, hint }] of Object.entries(unserved)) {
    const value = body[field];
    if (isAbsent(value) || neutral.some((allowed) => sameJson(allowed, value))) continue;
    const param = `${path}${field}`;
    throw new AppError('input.unsupported', `${param} is ${show(value)}; ${hint}`, { param });
  }
}

function sameJson(a: unknown, b: unknown): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && JSON.stringify(a) === JSON.stringify(b));
}

const maxSeed = Number.MAX_SAFE_INTEGER;

/** Any integer that survives JSON. @throws `input.invalid-request` */
export function readSeed(body: Body): number | null {
  return readInteger(body, 'seed', { min: -maxSeed, max: maxSeed });
}

/** The window of the model is checked later, by tokens; this only keeps the number sane. */
const maxTokenLimit = 10_000_000;

/** Both names of one limit. @throws `input.invalid-request` when they differ */
export function readMaxTokens(body: Body): number | null {
  const range = { min: 1, max: maxTokenLimit };
  const current = readInteger(body, 'max_completion_tokens', range);
  const deprecated = readInteger(body, 'max_tokens', range);
  if (current !== null && deprecated !== null && current !== deprecated) {
    throw invalid(
      'max_tokens',
      `max_tokens is ${deprecated} but max_completion_tokens is ${current}; they are two names of one limit`,
    );
  }
  return current ?? deprecated;
}

export function readThinkingBudget(body: Body): number | null {
  return readInteger(body, 'thinking_budget', { min: 0, max: maxTokenLimit });
}

/** @throws `input.invalid-request` when absent, `input.model-not-found` when not served here */
export function readModel(body: Body, models: readonly string[]): string {
  const model = readText(body, 'model');
  if (models.includes(model)) return model;
  throw new AppError(
    'input.model-not-found',
    `the model ${show(model)} does not exist; served here: ${models.join(', ')}`,
    {
      param: 'model',
    },
  );
}

export function requireBody(body: unknown): Body {
  if (isPlainObject(body)) return body;
  throw new AppError('input.invalid-request', `the request body is ${show(body)}; it must be a JSON object`);
}
