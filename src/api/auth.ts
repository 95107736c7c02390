import { createHash, timingSafeEqual } from 'node:crypto';
import { AppError } from '../base/errors.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Throws `input.unauthorized` for an authorization header that carries none of the keys. */
export type Authorize = (authorization: string | undefined) => void;

/** @param keys null: every caller is let in, with a bearer or without (loopback only) */
export function buildAuthorize(keys: readonly string[] | null): Authorize {
  if (keys === null) return () => {};
  const digests = keys.map(digest);
  return (authorization) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1];
    if (given === undefined) {
      throw new AppError('input.unauthorized', 'missing api key: send the header "authorization: Bearer <key>"');
    }
    const candidate = digest(given);
    // every key is compared, so that the time taken says nothing about which one was near
    const matches = digests.filter((key) => timingSafeEqual(key, candidate));
    if (matches.length === 0) throw new AppError('input.unauthorized', 'unknown api key');
  };
}
