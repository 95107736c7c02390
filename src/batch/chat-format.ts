import type { AnswerFormat } from '../engine/index.ts';
import { invalid, isAbsent, isPlainObject, readText, refuseUnknown, show } from './request-fields.ts';

const formatFields = new Set(['type', 'json_schema']);
const schemaFields = new Set(['name', 'description', 'schema', 'strict']);

/** `response_format`; text when absent. @throws `input.invalid-request`, `input.unknown-field` */
export function parseFormat(value: unknown): AnswerFormat {
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
