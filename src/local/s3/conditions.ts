import type { ObjectMeta } from './object-file.ts';
import { notImplemented, S3Error } from './s3-error.ts';

export type HeaderLookup = (name: string) => string | undefined;

/** Decides over the object that is there now, under the key's lock. Throws S3Error to refuse. */
export type WriteCondition = (current: ObjectMeta | undefined) => void;

/** `If-None-Match: *` and `If-Match: <etag>` of PUT, copy and completion. Throws `NotImplemented` for other forms. */
export function compileWriteCondition(header: HeaderLookup): WriteCondition {
  const ifNoneMatch = header('if-none-match')?.trim();
  const ifMatch = header('if-match')?.trim();
  if (ifNoneMatch !== undefined && ifNoneMatch !== '*') throw notImplemented('If-None-Match with an etag on a write');
  if (ifMatch === '*') throw notImplemented('If-Match: * on a write');
  if (ifNoneMatch !== undefined && ifMatch !== undefined) throw notImplemented('If-Match together with If-None-Match');
  return (current) => {
    if (ifNoneMatch !== undefined && current !== undefined) throw preconditionFailed('If-None-Match');
    if (ifMatch === undefined) return;
    if (current === undefined) throw new S3Error('NoSuchKey', 'the object of If-Match does not exist');
    if (!hasEtag(ifMatch, current)) throw preconditionFailed('If-Match');
  };
}

/** `If-Match` of DELETE. */
export function compileDeleteCondition(header: HeaderLookup): WriteCondition {
  const ifMatch = header('if-match')?.trim();
  return (current) => {
    if (ifMatch === undefined) return;
    if (current === undefined || !hasEtag(ifMatch, current)) throw preconditionFailed('If-Match');
  };
}

/** RFC 9110 section 13.2.2. `prefix` is `x-amz-copy-source-` for the source of a copy. */
export function evaluateReadConditions(header: HeaderLookup, meta: ObjectMeta, prefix = ''): 'read' | 'not-modified' {
  const ifMatch = header(`${prefix}if-match`);
  const ifNoneMatch = header(`${prefix}if-none-match`);
  if (ifMatch !== undefined && !hasEtag(ifMatch, meta)) throw preconditionFailed('If-Match');
  const unmodifiedMs = parseDate(header(`${prefix}if-unmodified-since`));
  if (ifMatch === undefined && unmodifiedMs !== undefined && wholeSecondMs(meta) > unmodifiedMs) {
    throw preconditionFailed('If-Unmodified-Since');
  }
  if (ifNoneMatch !== undefined) return hasEtag(ifNoneMatch, meta) ? 'not-modified' : 'read';
  const modifiedMs = parseDate(header(`${prefix}if-modified-since`));
  return modifiedMs !== undefined && wholeSecondMs(meta) <= modifiedMs ? 'not-modified' : 'read';
}

export function preconditionFailed(condition: string): S3Error {
  return new S3Error('PreconditionFailed', 'at least one of the preconditions did not hold', { Condition: condition });
}

function hasEtag(list: string, { etag }: ObjectMeta): boolean {
  return list
    .split(',')
    .map((each) => each.trim())
    .some((each) => each === '*' || each.replace(/^(?:W\/)?"(.*)"$/, '$1') === etag);
}

/** A date that cannot be read is as good as none. */
function parseDate(text: string | undefined): number | undefined {
  const ms = text === undefined ? Number.NaN : Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

/** Last-Modified as clients see it. */
function wholeSecondMs({ lastModifiedMs }: ObjectMeta): number {
  return Math.floor(lastModifiedMs / 1000) * 1000;
}
