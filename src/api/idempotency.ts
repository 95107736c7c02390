import type { IncomingHttpHeaders } from 'node:http';
import { AppError } from '../base/errors.ts';

export interface Idempotency {
  readonly idempotencyKey: string | null;
  /** Above 0: the stock client repeats a request whose answer it did not see. */
  readonly retryCount: number;
}

const maxKeyCharacters = 255;

/** @throws `input.invalid-request` for a key that is empty or too long */
export function readIdempotency(headers: IncomingHttpHeaders): Idempotency {
  const key = headers['idempotency-key'];
  if (key !== undefined && (typeof key !== 'string' || key.trim() === '' || key.length > maxKeyCharacters))
    throw new AppError('input.invalid-request', `idempotency-key must have 1 to ${maxKeyCharacters} characters`, {
      param: 'Idempotency-Key',
    });
  const retries = Number(headers['x-stainless-retry-count'] ?? 0);
  return { idempotencyKey: key ?? null, retryCount: Number.isSafeInteger(retries) && retries > 0 ? retries : 0 };
}
