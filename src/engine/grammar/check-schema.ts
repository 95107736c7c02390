import { Ajv2020 } from 'ajv/dist/2020.js';
import { AppError } from '../../base/errors.ts';

/** Larger schemas are no question to a document any more, and their compilation would hold up everybody else. */
const maxSchemaBytes = 64 * 1024;

/**
 * Is this a JSON schema (draft 2020-12) that decoding can follow? Keywords that decoding does not enforce (`not`,
 * `uniqueItems`) are let through: they are for checking the finished answer.
 * @throws `input.schema` naming what is wrong with it
 */
export function checkSchema(schema: Readonly<Record<string, unknown>>): void {
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  if (bytes > maxSchemaBytes) throw refused(`schema has ${bytes} bytes, more than the ${maxSchemaBytes} allowed`);
  // a fresh validator each time: schemas with the same $id must not meet
  const ajv = new Ajv2020({ strict: false, validateFormats: false, logger: false });
  if (ajv.validateSchema(schema) !== true) throw refused(`schema is not valid: ${ajv.errorsText(ajv.errors)}`);
  try {
    // finds references that lead nowhere; nothing is fetched
    ajv.compile(schema);
  } catch (error) {
    throw refused(`schema cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function refused(message: string): AppError {
  return new AppError('input.schema', message, { param: 'schema' });
}
