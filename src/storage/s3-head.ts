import { HeadObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { invariant } from '../base/invariant.ts';
import { nonceName } from './check-arguments.ts';
import type { ObjectHead } from './object-store.ts';
import { statusOf } from './s3-errors.ts';

/** The headers of an answer to GET and HEAD. */
export interface AnswerHead {
  readonly ContentLength?: number | undefined;
  readonly ContentRange?: string | undefined;
  readonly ContentType?: string | undefined;
  readonly ETag?: string | undefined;
  readonly LastModified?: Date | undefined;
  readonly Metadata?: Record<string, string> | undefined;
}

export function readHead(key: string, answer: AnswerHead): ObjectHead {
  const { [nonceName]: _nonce, ...metadata } = answer.Metadata ?? {};
  return {
    key,
    bytes: wholeBytes(answer),
    etag: stripQuotes(answer.ETag),
    lastModifiedMs: answer.LastModified?.getTime() ?? 0,
    contentType: answer.ContentType ?? null,
    metadata,
  };
}

/** Undefined when there is no such object. SDK errors come out as they are. */
export async function findAnswerHead(client: S3Client, bucket: string, key: string): Promise<AnswerHead | undefined> {
  try {
    return await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** Who wrote the object that is there now: undefined when none is, a null nonce when no adapter of ours wrote it. */
export async function findNonce(
  client: S3Client,
  bucket: string,
  key: string,
): Promise<{ readonly nonce: string | null; readonly etag: string } | undefined> {
  const answer = await findAnswerHead(client, bucket, key);
  if (answer === undefined) return undefined;
  return { nonce: answer.Metadata?.[nonceName] ?? null, etag: stripQuotes(answer.ETag) };
}

/** Etags are opaque to everybody else; the quotes are HTTP's, not theirs. */
export function stripQuotes(etag: string | undefined): string {
  invariant(etag !== undefined, 'every answer about an object carries its etag');
  return etag.replace(/^"(.*)"$/, '$1');
}

function wholeBytes(answer: AnswerHead): number {
  const total = /\/(\d+)$/.exec(answer.ContentRange ?? '')?.[1];
  return total === undefined ? (answer.ContentLength ?? 0) : Number(total);
}
