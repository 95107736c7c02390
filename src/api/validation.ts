import { Ajv, type ErrorObject } from 'ajv';
import type { FastifySchemaCompiler } from 'fastify';
import { AppError } from '../base/errors.ts';

const common = { allErrors: true, verbose: true, strict: true, strictTypes: false, useDefaults: true } as const;

/**
 * Fastify's own validator drops unknown fields and turns text into numbers; this one refuses the former everywhere and
 * does the latter only where everything is text: in paths and query strings.
 */
export function buildValidatorCompiler(): FastifySchemaCompiler<object> {
  const exact = new Ajv(common);
  const fromText = new Ajv({ ...common, coerceTypes: true });
  return ({ schema, httpPart }) => {
    const validate = (httpPart === 'body' ? exact : fromText).compile(schema);
    return (value: unknown) => (validate(value) ? { value } : { error: describeErrors(validate.errors ?? []) });
  };
}

/** A parser of records of text, such as form fields. It throws what a request part of that schema would be refused with. */
export function buildTextParser<Value>(schema: object): (fields: Readonly<Record<string, string>>) => Value {
  const validate = new Ajv({ ...common, coerceTypes: true }).compile<Value>(schema);
  return (fields) => {
    const value: unknown = { ...fields };
    if (validate(value)) return value;
    throw describeErrors(validate.errors ?? []);
  };
}

/** All unknown fields together, else the error that lies deepest: it says most about what was meant. */
export function describeErrors(errors: readonly ErrorObject[]): AppError {
  const unknown = errors.filter(({ keyword }) => keyword === 'additionalProperties').map(unknownField);
  const [firstUnknown] = unknown;
  if (firstUnknown !== undefined) {
    const names = unknown.map((name) => JSON.stringify(name)).join(', ');
    return new AppError('input.unknown-field', `unknown ${unknown.length === 1 ? 'field' : 'fields'}: ${names}`, {
      param: firstUnknown,
    });
  }
  const deepest = errors.toSorted((a, b) => b.instancePath.length - a.instancePath.length)[0];
  if (deepest === undefined) return new AppError('input.invalid-request', 'request does not match its schema');
  return describeError(deepest);
}

const fieldName = (instancePath: string): string => instancePath.slice(1).replaceAll('/', '.');

const join = (path: string, name: string): string => (path === '' ? name : `${path}.${name}`);

const unknownField = ({ instancePath, params }: ErrorObject): string =>
  join(fieldName(instancePath), String((params as { additionalProperty: unknown }).additionalProperty)).slice(0, 80);

function describeError({ keyword, instancePath, params, data, message }: ErrorObject): AppError {
  const path = fieldName(instancePath);
  if (keyword === 'required') {
    const name = join(path, String((params as { missingProperty: unknown }).missingProperty));
    return new AppError('input.invalid-request', `missing field: ${JSON.stringify(name)}`, { param: name });
  }
  const allowed = keyword === 'enum' ? (params as { allowedValues: readonly unknown[] }).allowedValues : undefined;
  const rule =
    allowed === undefined ? message : `must be one of ${allowed.map((one) => JSON.stringify(one)).join(', ')}`;
  const met = (JSON.stringify(data) ?? 'nothing').slice(0, 80);
  return new AppError('input.invalid-request', `${path === '' ? 'request' : path} ${rule}, met ${met}`, {
    ...(path === '' ? {} : { param: path }),
  });
}
