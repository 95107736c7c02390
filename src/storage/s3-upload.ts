import { createHash } from 'node:crypto';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { AppError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { newNonce } from '../base/ids.ts';
import { invariant } from '../base/invariant.ts';
import { nonceName, tooLarge } from './check-arguments.ts';
import type { PutStreamOptions, StreamedPut } from './object-store.ts';
import { isNamed } from './s3-errors.ts';
import { findNonce, stripQuotes } from './s3-head.ts';

const partBytes = 8 * 1024 * 1024;
/** S3's own limit; 80 GB at 8 MiB each. */
const maxParts = 10_000;
/** With the part being filled: 32 MiB for a stream of any length. */
const maxPartsInFlight = 3;

interface SentPart {
  readonly PartNumber: number;
  readonly ETag: string | undefined;
  readonly ChecksumCRC32?: string;
}

/**
 * Sends a stream of any length in constant memory: one put when it fits into a part, else multipart. On any failure the
 * upload is aborted and nothing becomes visible. SDK errors come out as they are; the caller translates them.
 */
export async function uploadStream(
  client: S3Client,
  bucket: string,
  key: string,
  body: AsyncIterable<Uint8Array>,
  options: PutStreamOptions,
): Promise<StreamedPut> {
  const hash = createHash('sha256');
  let bytes = 0;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (options.maxBytes !== undefined && bytes > options.maxBytes) throw tooLarge(key, options.maxBytes);
      hash.update(chunk);
      yield chunk;
    }
  };
  const parts = splitIntoParts(counted());
  try {
    const etag = await uploadParts(client, { Bucket: bucket, Key: key }, parts, options);
    return { etag, bytes, sha256: hash.digest('hex') };
  } finally {
    // closes the source when a request, not the source, failed
    await parts.return(undefined);
  }
}

type Target = { readonly Bucket: string; readonly Key: string };

async function uploadParts(
  client: S3Client,
  target: Target,
  parts: AsyncGenerator<Uint8Array>,
  options: PutStreamOptions,
): Promise<string> {
  const contentType = options.contentType === undefined ? {} : { ContentType: options.contentType };
  const first = await parts.next();
  const second = first.done === true ? first : await parts.next();
  if (second.done === true) {
    const Body = first.done === true ? new Uint8Array() : first.value;
    const answer = await client.send(
      new PutObjectCommand({ ...target, ...contentType, Body, Metadata: { ...options.metadata } }),
    );
    return stripQuotes(answer.ETag);
  }
  const nonce = newNonce();
  const Metadata = { ...options.metadata, [nonceName]: nonce };
  const { UploadId } = await client.send(
    new CreateMultipartUploadCommand({ ...target, ...contentType, Metadata, ChecksumAlgorithm: 'CRC32' }),
  );
  invariant(UploadId !== undefined, 'an upload that was created has an id');
  try {
    const sent = await sendParts(client, { ...target, UploadId }, [first.value, second.value], parts);
    await failpoint('upload.before-complete');
    return await complete(client, { ...target, UploadId }, sent, nonce);
  } catch (error) {
    // the first error is the one to tell; what an abort leaves behind is removed by the bucket's lifecycle rule
    await client.send(new AbortMultipartUploadCommand({ ...target, UploadId })).catch(() => undefined);
    throw error;
  }
}

async function sendParts(
  client: S3Client,
  upload: Target & { readonly UploadId: string },
  first: readonly Uint8Array[],
  rest: AsyncIterable<Uint8Array>,
): Promise<readonly SentPart[]> {
  const abort = new AbortController();
  const sent: Promise<SentPart>[] = [];
  const inFlight = new Set<Promise<unknown>>();
  const send = async (Body: Uint8Array): Promise<void> => {
    const PartNumber = sent.length + 1;
    if (PartNumber > maxParts) throw new AppError('input.too-large', `content is longer than ${maxParts} parts`);
    const part = client
      .send(new UploadPartCommand({ ...upload, PartNumber, Body, ChecksumAlgorithm: 'CRC32' }), {
        abortSignal: abort.signal,
      })
      .then(({ ETag, ChecksumCRC32 }) => ({
        PartNumber,
        ETag,
        ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }),
      }));
    sent.push(part);
    inFlight.add(part);
    part.then(
      () => inFlight.delete(part),
      () => undefined,
    );
    if (inFlight.size >= maxPartsInFlight) await Promise.race(inFlight);
  };
  try {
    for (const body of first) await send(body);
    for await (const body of rest) await send(body);
    return await Promise.all(sent);
  } catch (error) {
    abort.abort();
    await Promise.allSettled(sent);
    throw error;
  }
}

/** A completion whose answer was lost meets "no such upload" when tried again: the object itself tells. */
async function complete(
  client: S3Client,
  upload: Target & { readonly UploadId: string },
  parts: readonly SentPart[],
  nonce: string,
): Promise<string> {
  try {
    const answer = await client.send(
      new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: [...parts] } }),
    );
    return stripQuotes(answer.ETag);
  } catch (error) {
    if (!isNamed(error, 'NoSuchUpload')) throw error;
    const found = await findNonce(client, upload.Bucket, upload.Key);
    if (found?.nonce === nonce) return found.etag;
    throw error;
  }
}

/** Parts of exactly `partBytes`, the last one shorter; some stores insist on equal parts. */
async function* splitIntoParts(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  for await (const chunk of chunks) {
    let rest = chunk;
    while (pendingBytes + rest.byteLength >= partBytes) {
      const taken = rest.subarray(0, partBytes - pendingBytes);
      yield Buffer.concat([...pending, taken]);
      rest = rest.subarray(taken.byteLength);
      pending = [];
      pendingBytes = 0;
    }
    // a source may reuse its buffer for the next chunk
    if (rest.byteLength > 0) pending.push(Uint8Array.from(rest));
    pendingBytes += rest.byteLength;
  }
  if (pendingBytes > 0) yield Buffer.concat(pending);
}
