import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { AppError } from '../base/errors.ts';
import { dropClaimSchema, dropRecordSchema, openDropSchema } from './drop.schema.ts';

function buildDecoder<Schema extends TSchema>(schema: Schema): (body: Uint8Array, key: string) => Static<Schema> {
  const validator = Compile(schema);
  return (body, key) => {
    const value = parseJson(body, key);
    const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined;
    if (version !== 1) {
      const message = `stored record has version ${JSON.stringify(version) ?? 'none'}; this program knows 1`;
      throw new AppError('corrupt.version', message, { details: { key } });
    }
    if (validator.Check(value)) return value;
    const [first] = validator.Errors(value);
    throw new AppError('corrupt.record', `stored record does not fit its schema: ${first?.message ?? 'unknown'}`, {
      details: { key, field: first?.instancePath ?? '' },
    });
  };
}

function parseJson(body: Uint8Array, key: string): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (cause) {
    throw new AppError('corrupt.record', 'stored record is not JSON', { details: { key }, cause });
  }
}

export const decodeOpenDrop = buildDecoder(openDropSchema);
export const decodeDropClaim = buildDecoder(dropClaimSchema);
export const decodeDropRecord = buildDecoder(dropRecordSchema);

export function encodeJson(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}
