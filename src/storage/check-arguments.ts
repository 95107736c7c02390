import { AppError } from '../base/errors.ts';
import { invariant } from '../base/invariant.ts';
import type { ByteRange, PutOptions } from './object-store.ts';

const maxKeyBytes = 1024;

/** Name of the user metadata that carries the nonce of a conditional write. */
export const nonceName = 'nonce';

/** Throws `input.invalid-request` for text that is no key: empty, longer than 1,024 bytes, NUL or half a surrogate pair. */
export function checkKey(key: string): void {
  const problem = findKeyProblem(key);
  if (problem === undefined) return;
  throw new AppError('input.invalid-request', `object key ${JSON.stringify(key.slice(0, 80))} ${problem}`);
}

function findKeyProblem(key: string): string | undefined {
  const bytes = Buffer.byteLength(key);
  if (bytes === 0 || bytes > maxKeyBytes) return `has ${bytes} bytes, 1 to ${maxKeyBytes} are allowed`;
  if (key.includes('\0')) return 'contains a NUL character';
  if (/\p{Surrogate}/u.test(key)) return 'contains half a surrogate pair';
  return undefined;
}

/** Metadata travels in HTTP headers: what would come back changed is refused before it is sent. */
export function checkPutOptions(options: PutOptions): void {
  for (const [name, value] of Object.entries(options.metadata ?? {})) {
    invariant(name !== nonceName, 'the metadata name nonce belongs to the store adapter');
    invariant(/^[a-z0-9][a-z0-9._-]*$/.test(name), `metadata name ${JSON.stringify(name)} is lower-case ASCII`);
    if (!/^(?:[!-~](?:[ -~]*[!-~])?)?$/.test(value)) {
      throw new AppError(
        'input.invalid-request',
        `metadata ${name} must be printable ASCII without spaces at its ends`,
      );
    }
  }
}

export function checkRange(range: ByteRange): void {
  invariant(
    Number.isSafeInteger(range.start) &&
      Number.isSafeInteger(range.end) &&
      range.start >= 0 &&
      range.start <= range.end,
    `a byte range is half-open and ordered, not ${range.start}..${range.end}`,
  );
}

/** The error of a stream that went past its `maxBytes`. */
export function tooLarge(key: string, maxBytes: number): AppError {
  return new AppError('input.too-large', `content is longer than the ${maxBytes} bytes allowed`, {
    details: { key, maxBytes },
  });
}
