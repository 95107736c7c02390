import { AppError } from '../base/errors.ts';
import { checkVersion, parseStoredJson } from './decode-record.ts';
import { type LogEntry, sealReasons } from './records.schema.ts';
import { isPlainObject } from './request-fields.ts';

export function encodeLogEntry(entry: LogEntry): Uint8Array {
  return Buffer.from(JSON.stringify(entry));
}

/** Bytes of a slot → entry. @throws `corrupt.version`, `corrupt.record` naming the key */
export function decodeLogEntry(body: Uint8Array, key: string): LogEntry {
  const value = parseStoredJson(body, key);
  checkVersion(value, key);
  if (isLogEntry(value)) return value;
  throw new AppError('corrupt.record', 'unit log slot is no claim, segment or seal', { details: { key } });
}

function isLogEntry(value: unknown): value is LogEntry {
  if (!isPlainObject(value) || typeof value['nonce'] !== 'string') return false;
  switch (value['type']) {
    case 'claim':
      return Number.isSafeInteger(value['epoch']) && typeof value['owner'] === 'string';
    case 'segment':
      return (
        Number.isSafeInteger(value['epoch']) &&
        Array.isArray(value['results']) &&
        value['results'].every(isResult) &&
        (value['checkpoint'] === undefined || isCheckpointName(value['checkpoint'])) &&
        (value['alone'] === undefined || Number.isSafeInteger(value['alone']))
      );
    case 'seal':
      return sealReasons.some((reason) => reason === value['reason']);
    default:
      return false;
  }
}

function isCheckpointName(value: unknown): boolean {
  return (
    isPlainObject(value) &&
    typeof value['sha256'] === 'string' &&
    /^[0-9a-f]{64}$/.test(value['sha256']) &&
    Number.isSafeInteger(value['tokens'])
  );
}

function isResult(value: unknown): boolean {
  return (
    isPlainObject(value) &&
    Number.isSafeInteger(value['index']) &&
    (value['outcome'] === 'completed' || value['outcome'] === 'failed') &&
    isPlainObject(value['output'])
  );
}
