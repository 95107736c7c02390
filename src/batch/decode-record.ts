import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { AppError } from '../base/errors.ts';
import { batchRecordSchema, fileRecordSchema, planSchema } from './records.schema.ts';

/** Bytes of a stored JSON record → value. @throws `corrupt.version` for a version we do not know, `corrupt.record` */
export type DecodeRecord<Value> = (body: Uint8Array, key: string) => Value;

/** A decoder that checks the version before the rest, so that a newer writer's record is refused by name. */
export function buildDecoder<Schema extends TSchema>(schema: Schema): DecodeRecord<Static<Schema>> {
  const validator = Compile(schema);
  return (body, key) => {
    const value = parseStoredJson(body, key);
    checkVersion(value, key);
    if (validator.Check(value)) return value;
    const [first] = validator.Errors(value);
    throw new AppError(
      'corrupt.record',
      `stored record does not fit its schema: ${first?.message ?? 'unknown reason'}`,
      {
        details: { key, field: first?.instancePath ?? '' },
      },
    );
  };
}

export const decodeBatchRecord = buildDecoder(batchRecordSchema);
export const decodeFileRecord = buildDecoder(fileRecordSchema);
export const decodePlan = buildDecoder(planSchema);

export function encodeRecord(value: object): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

/** @throws `corrupt.record` naming the key */
export function parseStoredJson(body: Uint8Array, key: string): unknown {
  try {
    return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8'));
  } catch (cause) {
    throw new AppError('corrupt.record', 'stored record is not JSON', { details: { key }, cause });
  }
}

/** @throws `corrupt.version` */
export function checkVersion(value: unknown, key: string): void {
  const version = typeof value === 'object' && value !== null && 'version' in value ? value.version : undefined;
  if (version === 1) return;
  throw new AppError(
    'corrupt.version',
    `stored record has version ${JSON.stringify(version) ?? 'none'}; this program knows 1`,
    {
      details: { key },
    },
  );
}
