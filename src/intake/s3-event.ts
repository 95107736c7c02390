import { AppError } from '../base/errors.ts';

/**
 * Notification of a bucket → keys it speaks of. Understood: S3 events, S3's test event (no keys), both inside an SNS
 * message, and EventBridge events. Keys of S3 events are form-encoded, those of EventBridge are not.
 * @throws `input.invalid-json` for anything else
 */
export function parseS3Event(text: string): readonly string[] {
  const value = parse(text);
  if (typeof value['Message'] === 'string' && value['Type'] === 'Notification') return parseS3Event(value['Message']);
  if (value['Event'] === 's3:TestEvent') return [];
  if (Array.isArray(value['Records'])) return value['Records'].map(keyOfRecord);
  if (value['source'] === 'aws.s3') return [textAt(value, ['detail', 'object', 'key'])];
  throw new AppError('input.invalid-json', 'not an event of a bucket: it has neither Records nor the source aws.s3');
}

function parse(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new AppError('input.invalid-json', 'not JSON', { cause });
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw new AppError('input.invalid-json', 'not a JSON object');
}

function keyOfRecord(record: unknown): string {
  const key = textAt(record, ['s3', 'object', 'key']);
  try {
    return decodeURIComponent(key.replaceAll('+', ' '));
  } catch (cause) {
    throw new AppError('input.invalid-json', `key ${JSON.stringify(key.slice(0, 80))} is not form-encoded`, { cause });
  }
}

function textAt(value: unknown, path: readonly string[]): string {
  let at = value;
  for (const name of path) {
    at = typeof at === 'object' && at !== null ? (at as Readonly<Record<string, unknown>>)[name] : undefined;
  }
  if (typeof at === 'string') return at;
  throw new AppError('input.invalid-json', `an event lacks ${path.join('.')}`);
}
