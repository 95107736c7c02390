import { S3Error } from './s3-error.ts';

export type QueryParameters = readonly (readonly [name: string, value: string])[];

export interface RequestTarget {
  /** Decoded path with its leading slash. */
  readonly path: string;
  readonly query: QueryParameters;
}

/** The target as it was sent: never through `URL`, which would fold `/../` and `//` away. Throws `InvalidURI`. */
export function parseTarget(target: string): RequestTarget {
  if (!target.startsWith('/')) throw new S3Error('InvalidURI', 'the request target must be a path');
  const mark = target.indexOf('?');
  const path = decode(mark === -1 ? target : target.slice(0, mark));
  const pairs = mark === -1 ? [] : target.slice(mark + 1).split('&');
  const query = pairs.filter((pair) => pair !== '').map(parsePair);
  return { path, query };
}

/** RFC 3986 as signature version 4 wants it: everything but unreserved characters, upper-case hex. */
export function encodeUri(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

export function encodePath(path: string): string {
  return path.split('/').map(encodeUri).join('/');
}

export function findParameter(query: QueryParameters, name: string): string | undefined {
  return query.find(([other]) => other === name)?.[1];
}

/** Percent-decoded text; throws `InvalidURI` when it is no UTF-8. */
export function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new S3Error('InvalidURI', 'the request target is not percent-encoded UTF-8');
  }
}

function parsePair(pair: string): readonly [string, string] {
  const text = pair.replaceAll('+', ' ');
  const equals = text.indexOf('=');
  return equals === -1 ? [decode(text), ''] : [decode(text.slice(0, equals)), decode(text.slice(equals + 1))];
}
