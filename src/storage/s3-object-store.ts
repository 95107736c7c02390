import { PassThrough, type Readable } from 'node:stream';
import {
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { systemClock } from '../base/clock.ts';
import { AppError } from '../base/errors.ts';
import { newNonce } from '../base/ids.ts';
import { checkKey, checkPutOptions, checkRange, nonceName } from './check-arguments.ts';
import type {
  CreateOutcome,
  GetOptions,
  Listing,
  ListOptions,
  ObjectHead,
  ObjectStore,
  PutOptions,
  PutStreamOptions,
  StoredObject,
  StreamedObject,
  StreamedPut,
  SwapOutcome,
} from './object-store.ts';
import { buildS3Client, describeEndpoint, type S3Options } from './s3-client.ts';
import { DirectRequests, findDirectUrl } from './s3-direct.ts';
import { isNamed, refusedCondition, type StoreRequest, statusOf, toStoreError } from './s3-errors.ts';
import { findAnswerHead, findNonce, readHead, stripQuotes } from './s3-head.ts';
import { listPage } from './s3-list.ts';
import { uploadStream } from './s3-upload.ts';

export type { S3Options } from './s3-client.ts';

/** A body that breaks off is asked for again; the SDK itself retries only up to the headers. */
const bodyAttempts = 3;
/** Pauses of 20, 40, … 640 ms: a conflicting write is over by then, or the store is ill. */
const conflictAttempts = 7;
const firstConflictPauseMs = 20;
const deleteBatchKeys = 1000;

type Condition = { readonly IfNoneMatch: '*' } | { readonly IfMatch: string };

/**
 * S3 over the AWS SDK, which is spared simple requests where it can be. Opens no connection by itself.
 * @throws `input.config` when the endpoint is no http(s) URL
 */
export function openS3ObjectStore(options: S3Options): ObjectStore {
  const client = buildS3Client(options);
  const url = findDirectUrl(options);
  const direct = url === null ? null : new DirectRequests(client, url, options.bucket);
  return new S3ObjectStore(client, direct, options.bucket, describeEndpoint(options.endpoint));
}

class S3ObjectStore implements ObjectStore {
  private readonly client: S3Client;
  /** null: everything goes through the SDK. */
  private readonly direct: DirectRequests | null;
  private readonly bucket: string;
  private readonly endpoint: string;

  constructor(client: S3Client, direct: DirectRequests | null, bucket: string, endpoint: string) {
    this.client = client;
    this.direct = direct;
    this.bucket = bucket;
    this.endpoint = endpoint;
  }

  async get(key: string, options: GetOptions = {}): Promise<StoredObject | undefined> {
    checkKey(key);
    const { range, signal } = options;
    if (range !== undefined) checkRange(range);
    // HTTP has no way to ask for nothing
    const isEmpty = range !== undefined && range.start === range.end;
    const direct = isEmpty ? undefined : await this.direct?.get(key, range, signal);
    signal?.throwIfAborted();
    if (direct?.type === 'absent') return undefined;
    if (direct?.type === 'found') return { ...readHead(key, direct.answer), body: direct.body };
    for (let attempt = 1; ; attempt += 1) {
      const answer = await this.fetch(key, options);
      if (answer === undefined) return undefined;
      try {
        return { ...answer.head, body: await readAll(answer) };
      } catch (error) {
        options.signal?.throwIfAborted();
        if (attempt === bodyAttempts) throw this.toError('get', key, error);
      }
    }
  }

  async getStream(key: string, options: GetOptions = {}): Promise<StreamedObject | undefined> {
    checkKey(key);
    const answer = await this.fetch(key, options);
    if (answer === undefined) return undefined;
    const stream = new PassThrough();
    if (answer.body === undefined) return { ...answer.head, stream: stream.end() };
    const { body } = answer;
    body.on('error', (error) => stream.destroy(options.signal?.reason ?? this.toError('get', key, error)));
    stream.on('close', () => body.destroy());
    body.pipe(stream);
    return { ...answer.head, stream };
  }

  async head(key: string): Promise<ObjectHead | undefined> {
    checkKey(key);
    const direct = await this.direct?.head(key);
    if (direct?.type === 'absent') return undefined;
    if (direct?.type === 'found') return readHead(key, direct.answer);
    const answer = await this.translated('head', key, () => findAnswerHead(this.client, this.bucket, key));
    return answer === undefined ? undefined : readHead(key, answer);
  }

  async put(key: string, body: Uint8Array, options: PutOptions = {}): Promise<{ readonly etag: string }> {
    checkKey(key);
    checkPutOptions(options);
    const etag = await this.translated('put', key, () => this.sendPut(key, body, options, {}, null));
    return { etag };
  }

  async putStream(key: string, body: AsyncIterable<Uint8Array>, options: PutStreamOptions = {}): Promise<StreamedPut> {
    checkKey(key);
    checkPutOptions(options);
    // what the source throws is the caller's own and comes out as it is
    const source: { error?: unknown; failed: boolean } = { failed: false };
    const watched = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* body;
      } catch (error) {
        source.failed = true;
        source.error = error;
        throw error;
      }
    };
    try {
      return await uploadStream(this.client, this.bucket, key, watched(), options);
    } catch (error) {
      throw source.failed ? source.error : this.toError('put', key, error);
    }
  }

  async create(key: string, body: Uint8Array, options: PutOptions = {}): Promise<CreateOutcome> {
    const etag = await this.putIf(key, body, options, { IfNoneMatch: '*' });
    return etag === undefined ? { created: false } : { created: true, etag };
  }

  async swap(key: string, body: Uint8Array, etag: string, options: PutOptions = {}): Promise<SwapOutcome> {
    const now = await this.putIf(key, body, options, { IfMatch: `"${etag}"` });
    return now === undefined ? { swapped: false } : { swapped: true, etag: now };
  }

  async list(prefix: string, options: ListOptions = {}): Promise<Listing> {
    return this.translated('list', prefix, () => listPage(this.client, this.bucket, prefix, options));
  }

  async delete(keys: readonly string[]): Promise<void> {
    keys.forEach(checkKey);
    // XML 1.0 has no way to write control characters; such keys go into a URL one by one
    const plain = keys.filter((key) => !hasControlCharacter(key));
    for (let start = 0; start < plain.length; start += deleteBatchKeys) {
      await this.deleteTogether(plain.slice(start, start + deleteBatchKeys));
    }
    for (const key of keys.filter(hasControlCharacter)) {
      await this.translated('delete', key, () =>
        this.client.send(new DeleteObjectCommand({ Bucket: this.bucket, Key: key })),
      );
    }
  }

  async check(): Promise<void> {
    try {
      await this.client.send(new HeadBucketCommand({ Bucket: this.bucket }));
    } catch (error) {
      if (statusOf(error) !== 404) throw this.toError('check', undefined, error);
      throw new AppError('input.config', `object store has no such bucket: ${this.bucket} at ${this.endpoint}`, {
        details: { bucket: this.bucket, endpoint: this.endpoint },
        cause: error,
      });
    }
  }

  /**
   * The etag of our own object, or undefined when another write won. A 412 or 409 may be the echo of our own request
   * whose answer was lost and which the SDK sent again, so the object that is there has the last word.
   */
  private async putIf(
    key: string,
    body: Uint8Array,
    options: PutOptions,
    when: Condition,
  ): Promise<string | undefined> {
    checkKey(key);
    checkPutOptions(options);
    const nonce = newNonce();
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.sendPut(key, body, options, { [nonceName]: nonce }, when);
      } catch (error) {
        if (!isRefusedCondition(error)) throw this.toError('put', key, error);
        const found = await this.translated('head', key, () => findNonce(this.client, this.bucket, key));
        if (found?.nonce === nonce) return found.etag;
        const stillOpen =
          'IfMatch' in when ? found !== undefined && when.IfMatch === `"${found.etag}"` : found === undefined;
        if (statusOf(error) !== 409 || !stillOpen) return undefined;
        if (attempt === conflictAttempts) throw this.conflictError(key, error);
      }
      await systemClock.sleep(firstConflictPauseMs * 2 ** (attempt - 1) * (0.5 + Math.random() / 2));
    }
  }

  private async deleteTogether(keys: readonly string[]): Promise<void> {
    const Objects = keys.map((Key) => ({ Key }));
    const answer = await this.translated('delete', keys[0], () =>
      this.client.send(new DeleteObjectsCommand({ Bucket: this.bucket, Delete: { Objects, Quiet: true } })),
    );
    const failed = answer.Errors?.[0];
    if (failed === undefined) return;
    const message = `object store kept ${answer.Errors?.length ?? 0} of ${keys.length} objects: ${failed.Code}`;
    const refused = failed.Code === 'AccessDenied';
    throw new AppError(refused ? 'input.config' : 'transient.store-error', message, {
      details: { bucket: this.bucket, endpoint: this.endpoint, key: failed.Key ?? null, reason: failed.Code ?? null },
    });
  }

  /** The head, and the body unless the range lies past the end. */
  private async fetch(key: string, { range, signal }: GetOptions): Promise<Answer | undefined> {
    if (range !== undefined) checkRange(range);
    const empty = async (): Promise<Answer | undefined> => {
      const head = await this.head(key);
      return head === undefined ? undefined : { head, body: undefined, bodyBytes: 0 };
    };
    // HTTP has no way to ask for nothing
    if (range !== undefined && range.start === range.end) return empty();
    const Range = range === undefined ? {} : { Range: `bytes=${range.start}-${range.end - 1}` };
    try {
      const command = new GetObjectCommand({ Bucket: this.bucket, Key: key, ...Range });
      // options of a call cost it the client's prepared handlers
      const answer = await (signal === undefined
        ? this.client.send(command)
        : this.client.send(command, { abortSignal: signal }));
      return toAnswer(key, answer);
    } catch (error) {
      signal?.throwIfAborted();
      if (isNamed(error, 'NoSuchKey', 'NotFound')) return undefined;
      if (statusOf(error) === 416) return empty();
      throw this.toError('get', key, error);
    }
  }

  /** The etag. SDK errors come out as they are. */
  private async sendPut(
    key: string,
    body: Uint8Array,
    { contentType, metadata }: PutOptions,
    ownMetadata: Readonly<Record<string, string>>,
    when: Condition | null,
  ): Promise<string> {
    const Metadata = { ...metadata, ...ownMetadata };
    const direct = await this.direct?.put(key, body, { contentType, metadata: Metadata, condition: headersOf(when) });
    if (direct?.type === 'accepted') return stripQuotes(direct.etag);
    if (direct?.type === 'refused') throw refusedCondition(direct.status);
    const type = contentType === undefined ? {} : { ContentType: contentType };
    const { ETag } = await this.client.send(
      new PutObjectCommand({ Bucket: this.bucket, Key: key, Body: body, Metadata, ...type, ...when }),
    );
    return stripQuotes(ETag);
  }

  private async translated<Result>(
    operation: string,
    key: string | undefined,
    run: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await run();
    } catch (error) {
      throw this.toError(operation, key, error);
    }
  }

  private toError(operation: string, key: string | undefined, error: unknown): AppError {
    const request: StoreRequest = { operation, bucket: this.bucket, endpoint: this.endpoint };
    return toStoreError(error, key === undefined ? request : { ...request, key });
  }

  private conflictError(key: string, cause: unknown): AppError {
    return new AppError('transient.store-error', `object store answered ${conflictAttempts} times with a conflict`, {
      details: { bucket: this.bucket, endpoint: this.endpoint, key },
      cause,
    });
  }
}

function headersOf(when: Condition | null): Readonly<Record<string, string>> | null {
  if (when === null) return null;
  return 'IfMatch' in when ? { 'if-match': when.IfMatch } : { 'if-none-match': when.IfNoneMatch };
}

interface Answer {
  readonly head: ObjectHead;
  readonly body: Readable | undefined;
  readonly bodyBytes: number;
}

function toAnswer(key: string, answer: GetObjectCommandOutput): Answer {
  // in Node the SDK's body is always a Readable
  return { head: readHead(key, answer), body: answer.Body as Readable, bodyBytes: answer.ContentLength ?? 0 };
}

async function readAll({ body, bodyBytes }: Answer): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk as Uint8Array);
  const whole = Buffer.concat(chunks);
  if (whole.byteLength !== bodyBytes) throw new Error(`body has ${whole.byteLength} of ${bodyBytes} bytes`);
  return whole;
}

/** 404 answers a swap of an object that is not there. */
function isRefusedCondition(error: unknown): boolean {
  const status = statusOf(error);
  return status === 412 || status === 409 || (status === 404 && isNamed(error, 'NoSuchKey', 'NotFound'));
}

function hasControlCharacter(key: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u001f\ufffe\uffff]/.test(key);
}
