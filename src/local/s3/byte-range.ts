import { S3Error } from './s3-error.ts';

export interface BodyRange {
  readonly start: number;
  readonly end: number;
}

/**
 * `Range: bytes=2-5`, `bytes=2-`, `bytes=-3` → half-open. Undefined: send the whole body, which is also what a header
 * that is no such range means. Throws `InvalidRange` when no byte of the body is in it.
 */
export function parseRange(header: string | undefined, bodyBytes: number): BodyRange | undefined {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  if (first === '') return checked(Math.max(bodyBytes - Number(last), 0), bodyBytes, bodyBytes);
  if (last !== '' && Number(last) < Number(first)) return undefined;
  return checked(Number(first), last === '' ? bodyBytes : Math.min(Number(last) + 1, bodyBytes), bodyBytes);
}

function checked(start: number, end: number, bodyBytes: number): BodyRange {
  if (start < end) return { start, end };
  throw new S3Error('InvalidRange', 'the requested range is not satisfiable', { ActualObjectSize: String(bodyBytes) });
}
