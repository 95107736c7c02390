import { Ajv, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { AppError } from '../../base/errors.ts';
import { openGuardedPattern, PatternTimeout } from './guarded-pattern.ts';

export type JsonSchema = boolean | SchemaObject;
export type SchemaObject = Readonly<Record<string, unknown>>;

/** Formats are annotations here, as in the standard; the grammar knows some of them. */
const options: Options = {
  strict: false,
  logger: false,
  validateFormats: false,
  code: { regExp: Object.assign(openGuardedPattern, { code: 'openGuardedPattern' }) },
};

const withoutMeta: Options = { meta: false, validateSchema: false };

/** Compiled schemas kept, by their text: each request brings a copy of its own. */
const keptSchemas = 128;
const compiledSchemas = new Map<string, ValidateFunction>();

/** A draft's validator of schemas, kept, and what makes validators of values, fresh: the same $id must not meet twice. */
const draft2020 = { schemas: new Ajv2020(options), open: () => new Ajv2020({ ...options, ...withoutMeta }) };
const draft7 = { schemas: new Ajv(options), open: () => new Ajv({ ...options, ...withoutMeta }) };

function compileSchema(schema: SchemaObject): ValidateFunction {
  const text = writeSchema(schema);
  const validate = compiledSchemas.get(text) ?? buildValidator(schema);
  compiledSchemas.delete(text);
  compiledSchemas.set(text, validate);
  const [oldest] = compiledSchemas.size > keptSchemas ? compiledSchemas.keys() : [];
  if (oldest !== undefined) compiledSchemas.delete(oldest);
  return validate;
}

function buildValidator(schema: SchemaObject): ValidateFunction {
  // drafts before 2019 have another form of tuples; without `$schema` the current draft is meant
  const draft = /draft-0[67]/.test(String(schema['$schema'] ?? '')) ? draft7 : draft2020;
  try {
    const own = Object.fromEntries(Object.entries(schema).filter(([keyword]) => keyword !== '$schema'));
    const isValid = draft.schemas.validateSchema(own);
    if (isValid !== true) throw new Error(draft.schemas.errorsText(draft.schemas.errors, { dataVar: 'schema' }));
    return draft.open().compile(schema);
  } catch (error) {
    const isEndless = error instanceof RangeError;
    const reason = isEndless
      ? 'it refers to itself without end'
      : error instanceof Error
        ? error.message
        : String(error);
    throw new AppError('input.schema', `schema is not valid: ${reason}`, { param: 'schema', cause: error });
  }
}

/** Larger schemas are no question to a document any more, and their compilation would hold up everybody else. */
const maxSchemaCharacters = 64 * 1024;
const maxSchemaDepth = 200;

/**
 * The text of a schema in the order of its own keys, when it is of sensible size.
 * @throws `input.schema`
 */
export function writeSchema(schema: SchemaObject): string {
  const refuse = (what: string): AppError => new AppError('input.schema', what, { param: 'schema' });
  if (isDeeper(schema, maxSchemaDepth)) throw refuse(`schema is nested more than ${maxSchemaDepth} deep`);
  const text = JSON.stringify(schema);
  if (text.length > maxSchemaCharacters) {
    throw refuse(`schema is ${text.length} characters long, allowed: ${maxSchemaCharacters}`);
  }
  return text;
}

/**
 * Is this a JSON schema?
 * @throws `input.schema` saying what is wrong
 */
export function checkSchema(schema: SchemaObject): void {
  compileSchema(schema);
}

function isDeeper(value: unknown, limit: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return limit === 0 || Object.values(value).some((member) => isDeeper(member, limit - 1));
}

/**
 * What is wrong with a value, or null. Decoding under a grammar does not follow every keyword (`not`, `uniqueItems`,
 * `if`, `contains`, …), so the finished value is checked once more.
 * @throws `input.schema`
 */
export function validateJson(schema: SchemaObject, value: unknown): string | null {
  const validate = compileSchema(schema);
  try {
    if (validate(value)) return null;
  } catch (error) {
    if (error instanceof PatternTimeout) return error.message;
    throw error;
  }
  const [first] = validate.errors ?? [];
  return `${first?.instancePath === '' ? 'the value' : first?.instancePath} ${first?.message ?? 'does not match'}`;
}
