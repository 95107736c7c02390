import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetBucketNotificationConfigurationCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutBucketLifecycleConfigurationCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../src/base/log.ts';
import { type ObjectCreatedEvent, openEmbeddedS3 } from '../../src/local/s3/index.ts';
import { ensureBucket } from '../../src/storage/index.ts';
import { type EmbeddedStore, openEmbeddedStore, testBucket, testCredentials } from '../support/embedded-store.ts';
import { RecordingLogger } from '../support/recording-logger.ts';
import { hmacOf, type RawAnswer, type RawRequest, sendRaw, sha256Of, signRequest } from '../support/signed-request.ts';

const mebibyte = 1024 * 1024;
const Bucket = testBucket;

describe('embedded S3 server', () => {
  let embedded: EmbeddedStore;
  let client: S3Client;
  const events: ObjectCreatedEvent[] = [];
  const log = new RecordingLogger();

  const clientOf = (endpoint: string): S3Client =>
    new S3Client({
      endpoint,
      region: 'eu-central-1',
      forcePathStyle: true,
      credentials: testCredentials,
      maxAttempts: 1,
    });

  beforeAll(async () => {
    embedded = await openEmbeddedStore({
      log,
      onObjectCreated: (event) => {
        events.push(event);
        if (event.key === 'events/bad') throw new Error('the hook failed');
      },
    });
    client = clientOf(embedded.server.endpoint);
  });
  afterAll(() => embedded.close());

  const put = (Key: string, Body: string | Uint8Array = 'x') =>
    client.send(new PutObjectCommand({ Bucket, Key, Body }));
  const textOf = async (Key: string): Promise<string> => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key }));
    return (await answer.Body?.transformToString()) ?? '';
  };
  const rawTo = (endpoint: string, message: RawRequest): Promise<RawAnswer> => {
    const { headers, target } = signRequest(new URL(endpoint).host, message, testCredentials);
    const { method, body } = message;
    return sendRaw(endpoint, { method, target, headers, ...(body === undefined ? {} : { body }) });
  };
  const raw = (message: RawRequest): Promise<RawAnswer> => rawTo(embedded.server.endpoint, message);

  describe('buckets', () => {
    it('creates, lists, finds and locates them', async () => {
      await client.send(new CreateBucketCommand({ Bucket: 'second-bucket' }));
      const { Buckets } = await client.send(new ListBucketsCommand({}));
      expect(Buckets?.map(({ Name }) => Name)).toEqual([testBucket, 'second-bucket']);
      const location = await client.send(new GetBucketLocationCommand({ Bucket: 'second-bucket' }));
      expect(location.LocationConstraint ?? '').toBe('');
      const again = client.send(new CreateBucketCommand({ Bucket: 'second-bucket' }));
      await expect(again).rejects.toMatchObject({ name: 'BucketAlreadyOwnedByYou' });
    });

    it('keeps the objects of two buckets apart', async () => {
      await ensureBucket({ ...embedded.s3, bucket: 'third-bucket' });
      await ensureBucket({ ...embedded.s3, bucket: 'third-bucket' });
      await client.send(new PutObjectCommand({ Bucket: 'third-bucket', Key: 'only-here', Body: 'x' }));
      await expect(textOf('only-here')).rejects.toMatchObject({ name: 'NoSuchKey' });
    });

    it('rejects names that are none, and paths in their place', async () => {
      for (const path of ['/UPPER', '/ab', '/a..b', `/${'x'.repeat(64)}`, '/..', '/-ab', '/..%2F..%2Fetc']) {
        expect((await raw({ method: 'PUT', path })).code, path).toMatch(
          /InvalidBucketName|NoSuchBucket|SignatureDoesNotMatch/,
        );
      }
      expect((await raw({ method: 'GET', path: '/no-such-bucket/k' })).code).toBe('NoSuchBucket');
    });
  });

  describe('signatures', () => {
    const path = `/${testBucket}/signed`;

    it('accepts signed requests and presigned URLs for as long as they last', async () => {
      expect((await raw({ method: 'PUT', path, body: 'one' })).status).toBe(200);
      expect((await raw({ method: 'GET', path })).text).toBe('one');
      expect((await raw({ method: 'PUT', path, body: 'two', expires: 60 })).status).toBe(200);
      expect((await raw({ method: 'GET', path, expires: 60 })).text).toBe('two');
      const late = await raw({ method: 'GET', path, expires: 60, atMs: Date.now() - 61_000 });
      expect([late.status, late.code]).toEqual([403, 'AccessDenied']);
    });

    it('gives presigned URLs the headers they ask for', async () => {
      const query = {
        'response-content-type': 'text/html',
        'response-content-disposition': 'attachment; filename="a b"',
      };
      const answer = await raw({ method: 'GET', path, query, expires: 60 });
      expect(answer.headers).toMatchObject({
        'content-type': 'text/html',
        'content-disposition': 'attachment; filename="a b"',
      });
      const split = { 'response-content-type': 'text/html\r\nx-evil: 1' };
      expect((await raw({ method: 'GET', path, query: split, expires: 60 })).code).toBe('InvalidArgument');
    });

    it('rejects wrong secrets, unknown keys, old requests and unsigned ones', async () => {
      const cases: readonly (readonly [Partial<RawRequest>, string])[] = [
        [{ secretAccessKey: 'wrong' }, 'SignatureDoesNotMatch'],
        [{ secretAccessKey: 'wrong', expires: 60 }, 'SignatureDoesNotMatch'],
        [{ accessKeyId: 'NOBODY' }, 'InvalidAccessKeyId'],
        [{ accessKeyId: 'NOBODY', expires: 60 }, 'InvalidAccessKeyId'],
        [{ atMs: Date.now() - 16 * 60_000 }, 'RequestTimeTooSkewed'],
        [{ atMs: Date.now() + 16 * 60_000 }, 'RequestTimeTooSkewed'],
        [{ unsignedHeaders: { 'x-amz-meta-role': 'admin' } }, 'AccessDenied'],
        [{ payloadHash: sha256Of('other') }, 'XAmzContentSHA256Mismatch'],
        [{ payloadHash: 'STREAMING-SOMETHING' }, 'InvalidArgument'],
      ];
      for (const [change, code] of cases) {
        expect((await raw({ method: 'PUT', path, body: 'evil', ...change })).code, JSON.stringify(change)).toBe(code);
      }
      const host = { host: new URL(embedded.server.endpoint).host };
      const bare = await sendRaw(embedded.server.endpoint, { method: 'GET', target: path, headers: host });
      expect([bare.status, bare.code]).toEqual([403, 'AccessDenied']);
      expect((await raw({ method: 'GET', path })).text).toBe('two');
    });

    it('names the request in every answer', async () => {
      const answer = await raw({ method: 'GET', path: `/${testBucket}/absent` });
      expect(answer.text).toContain(`<RequestId>${answer.headers['x-amz-request-id']}</RequestId>`);
      expect(answer.text).toContain('<Key>absent</Key>');
    });
  });

  describe('bodies', () => {
    it('stores a stream of the SDK, which travels in unsigned chunks with a trailer', async () => {
      const body = randomBytes(300_000);
      const pieces = Array.from({ length: 10 }, (_, index) => body.subarray(index * 30_000, (index + 1) * 30_000));
      for (const ChecksumAlgorithm of ['CRC32', 'CRC32C', 'SHA1', 'SHA256'] as const) {
        await client.send(
          new PutObjectCommand({
            Bucket,
            Key: `streamed-${ChecksumAlgorithm}`,
            Body: Readable.from(pieces),
            ContentLength: body.byteLength,
            ContentEncoding: 'gzip',
            ChecksumAlgorithm,
          }),
        );
        const found = await client.send(
          new GetObjectCommand({ Bucket, Key: `streamed-${ChecksumAlgorithm}`, ChecksumMode: 'ENABLED' }),
        );
        expect(found.ContentEncoding).toBe('gzip');
        expect(found[`Checksum${ChecksumAlgorithm}`]).toBeDefined();
        expect(Buffer.from((await found.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
      }
    });

    it('verifies signed chunks one by one', async () => {
      const { host } = new URL(embedded.server.endpoint);
      const path = `/${testBucket}/signed-chunks`;
      const chunks = ['first chunk ', 'second chunk'];
      const decodedBytes = String(chunks.join('').length);
      const upload = async (spoil: (body: string) => string): Promise<RawAnswer> => {
        const signed = signRequest(
          host,
          {
            method: 'PUT',
            path,
            payloadHash: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
            headers: { 'x-amz-decoded-content-length': decodedBytes, 'content-encoding': 'aws-chunked' },
          },
          testCredentials,
        );
        let previous = signed.signature;
        const body = [...chunks, ''].map((chunk) => {
          const text = `AWS4-HMAC-SHA256-PAYLOAD\n${signed.stamp}\n${previous}\n${sha256Of('')}\n${sha256Of(chunk)}`;
          previous = hmacOf(signed.key, text).toString('hex');
          return `${chunk.length.toString(16)};chunk-signature=${previous}\r\n${chunk}\r\n`;
        });
        return sendRaw(embedded.server.endpoint, {
          method: 'PUT',
          target: signed.target,
          headers: signed.headers,
          body: spoil(body.join('')),
        });
      };
      expect((await upload((body) => body)).status).toBe(200);
      expect((await raw({ method: 'GET', path })).text).toBe(chunks.join(''));
      expect((await upload((body) => body.replace('second', 'sEcond'))).code).toBe('SignatureDoesNotMatch');
      expect((await upload((body) => body.slice(0, -10))).code).toBe('IncompleteBody');
      expect((await raw({ method: 'GET', path })).text).toBe(chunks.join(''));
    });

    it('rejects bodies that are not what their headers say, and keeps the old object', async () => {
      const path = `/${testBucket}/digest`;
      await put('digest', 'old');
      const cases: readonly (readonly [Record<string, string>, string])[] = [
        [{ 'content-md5': createHash('md5').update('x').digest('base64') }, 'BadDigest'],
        [{ 'content-md5': 'bad' }, 'InvalidDigest'],
        [{ 'x-amz-checksum-crc32': 'AAAAAA==' }, 'BadDigest'],
        [{ 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' }, 'BadDigest'],
        [{ 'x-amz-meta-big': 'm'.repeat(2049) }, 'MetadataTooLarge'],
        [{ 'x-amz-tagging': 'a=b' }, 'NotImplemented'],
        [{ 'x-amz-server-side-encryption': 'aws:kms' }, 'NotImplemented'],
        [{ 'if-none-match': '"etag"' }, 'NotImplemented'],
      ];
      for (const [headers, code] of cases) {
        expect((await raw({ method: 'PUT', path, headers, body: 'new' })).code, JSON.stringify(headers)).toBe(code);
      }
      expect(await textOf('digest')).toBe('old');
      expect(await readdir(join(embedded.dataDir, 'tmp'))).toEqual([]);
    });

    it('waits for the word before a large body is sent, and says no before it', async () => {
      const waiting = new S3Client({
        endpoint: embedded.server.endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: testCredentials,
        expectContinueHeader: 1,
      });
      await waiting.send(new PutObjectCommand({ Bucket, Key: 'continued', Body: Buffer.alloc(3 * mebibyte, 1) }));
      expect(await embedded.store.head('continued')).toMatchObject({ bytes: 3 * mebibyte });
      waiting.destroy();
      // the head alone: an answer shows that nobody waits for the body
      const { host } = new URL(embedded.server.endpoint);
      const { headers, target } = signRequest(
        host,
        { method: 'PUT', path: `/${testBucket}/k`, secretAccessKey: 'wrong', headers: { expect: '100-continue' } },
        testCredentials,
      );
      const lines = Object.entries({ ...headers, 'content-length': '1000' }).map(
        ([name, value]) => `${name}: ${value}`,
      );
      const answer = await talk(embedded.server.port, [`PUT ${target} HTTP/1.1`, ...lines, '', ''].join('\r\n'));
      expect(answer).toMatch(/^HTTP\/1\.1 403/);
    });

    it('leaves nothing of an upload whose client goes away', async () => {
      const { host } = new URL(embedded.server.endpoint);
      const message = { method: 'PUT', path: `/${testBucket}/abandoned`, payloadHash: 'UNSIGNED-PAYLOAD' };
      const { headers, target } = signRequest(host, message, testCredentials);
      const lines = Object.entries({ ...headers, 'content-length': '1000000' }).map(
        ([name, value]) => `${name}: ${value}`,
      );
      const head = [`PUT ${target} HTTP/1.1`, ...lines, '', ''].join('\r\n');
      await new Promise<void>((done) => {
        const socket = connect(embedded.server.port, '127.0.0.1', () => {
          socket.write(head + 'x'.repeat(400_000), () => {
            socket.destroy();
            done();
          });
        });
      });
      await expect.poll(() => readdir(join(embedded.dataDir, 'tmp'))).toEqual([]);
      expect(await embedded.store.head('abandoned')).toBeUndefined();
      expect(log.lines.filter(({ level }) => level === 'error')).toEqual([]);
    });
  });

  describe('reads', () => {
    it('answers conditions with 304 and 412', async () => {
      const { ETag } = await put('conditional', 'body');
      const get = (input: object) => client.send(new GetObjectCommand({ Bucket, Key: 'conditional', ...input }));
      const statusOf = (input: object): Promise<number | undefined> =>
        get(input).then(
          async (answer) => {
            await answer.Body?.transformToByteArray();
            return answer.$metadata.httpStatusCode;
          },
          (error: { $metadata: { httpStatusCode: number } }) => error.$metadata.httpStatusCode,
        );
      const hourMs = 3_600_000;
      expect(await statusOf({ IfMatch: ETag })).toBe(200);
      expect(await statusOf({ IfMatch: '"other"' })).toBe(412);
      expect(await statusOf({ IfNoneMatch: ETag })).toBe(304);
      expect(await statusOf({ IfNoneMatch: '"other"' })).toBe(200);
      expect(await statusOf({ IfModifiedSince: new Date(Date.now() + hourMs) })).toBe(304);
      expect(await statusOf({ IfModifiedSince: new Date(Date.now() - hourMs) })).toBe(200);
      expect(await statusOf({ IfUnmodifiedSince: new Date(Date.now() - hourMs) })).toBe(412);
    });

    it('answers ranges, those from the end and those past it', async () => {
      await put('ranged', '0123456789');
      const get = async (Range: string): Promise<readonly unknown[]> => {
        const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range }));
        return [await answer.Body?.transformToString(), answer.ContentRange, answer.$metadata.httpStatusCode];
      };
      expect(await get('bytes=2-4')).toEqual(['234', 'bytes 2-4/10', 206]);
      expect(await get('bytes=-2')).toEqual(['89', 'bytes 8-9/10', 206]);
      expect(await get('bytes=7-')).toEqual(['789', 'bytes 7-9/10', 206]);
      await expect(get('bytes=10-')).rejects.toMatchObject({ name: 'InvalidRange' });
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'ranged', Range: 'bytes=0-1' }));
      expect([head.ContentLength, head.ContentRange]).toEqual([2, 'bytes 0-1/10']);
    });

    it('gives back every header an object was stored with', async () => {
      const stored = {
        ContentType: 'text/csv',
        CacheControl: 'no-store',
        ContentDisposition: 'inline',
        ContentLanguage: 'de',
        Metadata: { one: '1', 'two.3_x': 'b c' },
      };
      await client.send(new PutObjectCommand({ Bucket, Key: 'headers', Body: 'x', ...stored }));
      expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'headers' }))).toMatchObject(stored);
    });
  });

  describe('listing', () => {
    it('lists with tokens, folders and without url encoding', async () => {
      for (const key of ['l/a&b', 'l/c/1', 'l/c/2', 'l/d e', 'l/é']) await put(key);
      const list = (input: object) => client.send(new ListObjectsV2Command({ Bucket, Prefix: 'l/', ...input }));
      const first = await list({ Delimiter: '/', MaxKeys: 2 });
      expect(first).toMatchObject({ IsTruncated: true, KeyCount: 2, MaxKeys: 2 });
      expect(first.Contents?.map(({ Key }) => Key)).toEqual(['l/a&b']);
      expect(first.CommonPrefixes).toEqual([{ Prefix: 'l/c/' }]);
      const second = await list({ Delimiter: '/', MaxKeys: 2, ContinuationToken: first.NextContinuationToken });
      expect(second.Contents?.map(({ Key }) => Key)).toEqual(['l/d e', 'l/é']);
      expect(second).toMatchObject({ IsTruncated: false, KeyCount: 2 });
      expect((await list({ StartAfter: 'l/c/1' })).Contents?.map(({ Key }) => Key)).toEqual(['l/c/2', 'l/d e', 'l/é']);
      expect(await list({ MaxKeys: 0 })).toMatchObject({ IsTruncated: false, KeyCount: 0 });
      await expect(list({ ContinuationToken: 'forged' })).rejects.toMatchObject({ name: 'InvalidArgument' });
      const path = `/${testBucket}`;
      for (const query of [
        { 'list-type': '1' },
        { 'list-type': '2', 'max-keys': '-1' },
        { 'list-type': '2', 'encoding-type': 'x' },
      ]) {
        expect((await raw({ method: 'GET', path, query: query as unknown as Record<string, string> })).code).toBe(
          'InvalidArgument',
        );
      }
    });
  });

  describe('copies', () => {
    it('copies with the metadata of the source or with new metadata', async () => {
      await client.send(
        new PutObjectCommand({
          Bucket,
          Key: 'copy/ä +source',
          Body: 'copied',
          ContentType: 'a/b',
          Metadata: { m: '1' },
        }),
      );
      const CopySource = `${testBucket}/${encodeURIComponent('copy/ä +source')}`;
      const copy = await client.send(new CopyObjectCommand({ Bucket, Key: 'copy/target', CopySource }));
      const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'copy/target' }));
      expect(head).toMatchObject({ ContentType: 'a/b', Metadata: { m: '1' }, ETag: copy.CopyObjectResult?.ETag });
      await client.send(
        new CopyObjectCommand({
          Bucket,
          Key: 'copy/target',
          CopySource,
          MetadataDirective: 'REPLACE',
          Metadata: { n: '2' },
        }),
      );
      expect(await textOf('copy/target')).toBe('copied');
      expect((await embedded.store.head('copy/target'))?.metadata).toEqual({ n: '2' });
    });

    it('rejects copies of nothing, onto itself, over a taken key and past a condition', async () => {
      await put('copy/a', 'a');
      const copy = (input: object) =>
        client.send(new CopyObjectCommand({ Bucket, Key: 'copy/a', CopySource: `${testBucket}/copy/a`, ...input }));
      await expect(copy({ CopySource: `${testBucket}/none` })).rejects.toMatchObject({ name: 'NoSuchKey' });
      await expect(copy({})).rejects.toMatchObject({ name: 'InvalidRequest' });
      await expect(copy({ CopySource: 'nonsense' })).rejects.toMatchObject({ name: 'InvalidArgument' });
      await expect(copy({ Key: 'copy/b', CopySourceIfMatch: '"x"' })).rejects.toMatchObject({
        name: 'PreconditionFailed',
      });
      await expect(copy({ MetadataDirective: 'REPLACE', IfNoneMatch: '*' })).rejects.toMatchObject({
        name: 'PreconditionFailed',
      });
      expect(await embedded.store.head('copy/b')).toBeUndefined();
    });
  });

  describe('deletes', () => {
    it('deletes many, and tells each unless asked to be quiet', async () => {
      for (const key of ['del/1', 'del/2', 'del/<3>&']) await put(key);
      const Objects = ['del/1', 'del/<3>&', 'del/none'].map((Key) => ({ Key }));
      const told = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
      expect(told.Deleted?.map(({ Key }) => Key)).toEqual(['del/1', 'del/<3>&', 'del/none']);
      const quiet = await client.send(
        new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'del/2' }], Quiet: true } }),
      );
      expect(quiet.Deleted).toBeUndefined();
      expect((await embedded.store.list('del/')).objects).toEqual([]);
    });

    it('deletes under a condition', async () => {
      const { ETag } = await put('del/conditional', 'x');
      const remove = (IfMatch: string | undefined) =>
        client.send(new DeleteObjectCommand({ Bucket, Key: 'del/conditional', IfMatch }));
      await expect(remove('"other"')).rejects.toMatchObject({ name: 'PreconditionFailed' });
      await remove(ETag);
      expect(await embedded.store.head('del/conditional')).toBeUndefined();
    });

    it('rejects lists that are none or name versions', async () => {
      const post = (body: string): Promise<RawAnswer> =>
        raw({ method: 'POST', path: `/${testBucket}`, query: { delete: '' }, body });
      for (const body of ['', '<Delete>', '<Other/>', '<Delete></Delete>', '<Delete><Object/></Delete>']) {
        expect((await post(body)).code, body).toBe('MalformedXML');
      }
      const version = '<Delete><Object><Key>a</Key><VersionId>1</VersionId></Object></Delete>';
      expect((await post(version)).code).toBe('NotImplemented');
      const many = `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1001)}</Delete>`;
      expect((await post(many)).code).toBe('MalformedXML');
    });
  });

  describe('multipart', () => {
    const begin = async (
      Key: string,
      input: object = {},
    ): Promise<{ Bucket: string; Key: string; UploadId: string }> => {
      const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...input }));
      return { Bucket, Key, UploadId };
    };
    type Begun = Awaited<ReturnType<typeof begin>>;
    const send = async (upload: Begun, PartNumber: number, Body: Uint8Array) => {
      const { ETag } = await client.send(new UploadPartCommand({ ...upload, PartNumber, Body }));
      return { ETag, PartNumber };
    };
    type Sent = Awaited<ReturnType<typeof send>>;
    const complete = (upload: Begun, Parts: readonly Sent[], input: object = {}) =>
      client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts: [...Parts] }, ...input }));

    it('joins parts sent in any order, with the etag S3 gives', async () => {
      const upload = await begin('parts/joined', { ContentType: 'a/b', Metadata: { m: '1' } });
      const bodies = [randomBytes(5 * mebibyte), randomBytes(6 * mebibyte), randomBytes(1000)];
      const sent: Sent[] = [];
      for (const index of [2, 0, 1]) sent.push(await send(upload, index + 1, bodies[index] ?? Buffer.alloc(0)));
      sent.sort((a, b) => a.PartNumber - b.PartNumber);
      expect(await embedded.store.head('parts/joined')).toBeUndefined();
      const { ETag } = await complete(upload, sent);
      const md5s = bodies.map((body) => createHash('md5').update(body).digest());
      expect(ETag).toBe(`"${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-3"`);
      const found = await embedded.store.get('parts/joined');
      expect(Buffer.from(found?.body ?? []).equals(Buffer.concat(bodies))).toBe(true);
      expect(found).toMatchObject({ contentType: 'a/b', metadata: { m: '1' } });
      expect(await readdir(join(embedded.dataDir, 'uploads', testBucket))).toEqual([]);
    });

    it('gives a checksum of the parts’ checksums, and compares those of the list', async () => {
      const upload = await begin('parts/composite', { ChecksumAlgorithm: 'CRC32' });
      const bodies = [randomBytes(5 * mebibyte), randomBytes(7)];
      const sent = await Promise.all(
        bodies.map(async (Body, index) => {
          const part = { ...upload, PartNumber: index + 1, Body, ChecksumAlgorithm: 'CRC32' as const };
          const { ETag, ChecksumCRC32 } = await client.send(new UploadPartCommand(part));
          return { ETag, ChecksumCRC32, PartNumber: index + 1 };
        }),
      );
      const [first, second] = sent;
      const swapped = [{ ...first, ChecksumCRC32: second?.ChecksumCRC32 }, { ...second }] as Sent[];
      await expect(complete(upload, swapped)).rejects.toMatchObject({ name: 'InvalidPart' });
      const { ChecksumCRC32 } = await complete(upload, sent);
      expect(ChecksumCRC32).toMatch(/^[\w+/]{6}==-2$/);
      const found = await client.send(
        new GetObjectCommand({ Bucket, Key: 'parts/composite', ChecksumMode: 'ENABLED' }),
      );
      expect(found).toMatchObject({ ChecksumCRC32, ChecksumType: 'COMPOSITE' });
      expect(Buffer.from((await found.Body?.transformToByteArray()) ?? []).equals(Buffer.concat(bodies))).toBe(true);
    });

    it('gives a checksum of all bytes where one is asked for', async () => {
      const upload = await begin('parts/full', { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' });
      const sent = [await send(upload, 1, Buffer.from('hello'))];
      await expect(complete(upload, sent, { ChecksumCRC32: 'AAAAAA==' })).rejects.toMatchObject({ name: 'BadDigest' });
      const wrongSize = complete(upload, sent, { MpuObjectSize: 4 });
      await expect(wrongSize).rejects.toMatchObject({ name: 'InvalidRequest' });
      const done = await complete(upload, sent, { ChecksumCRC32: 'NhCmhg==', MpuObjectSize: 5 });
      expect(done).toMatchObject({ ChecksumCRC32: 'NhCmhg==', ChecksumType: 'FULL_OBJECT' });
    });

    it('replaces a part that is sent again, and lists parts and uploads', async () => {
      const upload = await begin('parts/listed');
      await send(upload, 7, Buffer.from('old'));
      const sent = await send(upload, 7, Buffer.from('newer'));
      await send(upload, 2, Buffer.from('x'));
      const { Parts } = await client.send(new ListPartsCommand(upload));
      expect(Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
        [2, 1],
        [7, 5],
      ]);
      const page = await client.send(new ListPartsCommand({ ...upload, MaxParts: 1 }));
      expect(page).toMatchObject({ IsTruncated: true, NextPartNumberMarker: '2' });
      const rest = await client.send(new ListPartsCommand({ ...upload, PartNumberMarker: '2' }));
      expect(rest.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([7]);
      const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'parts/l' }));
      expect(Uploads?.map(({ Key, UploadId }) => [Key, UploadId])).toEqual([[upload.Key, upload.UploadId]]);
      await complete(upload, [sent]);
      expect(await textOf('parts/listed')).toBe('newer');
    });

    it('rejects completions that do not fit what was sent', async () => {
      const upload = await begin('parts/refused');
      const one = await send(upload, 1, Buffer.from('small'));
      const two = await send(upload, 2, Buffer.from('last'));
      await expect(complete(upload, [one, two])).rejects.toMatchObject({ name: 'EntityTooSmall' });
      await expect(complete(upload, [two, one])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
      await expect(complete(upload, [one, one])).rejects.toMatchObject({ name: 'InvalidPartOrder' });
      await expect(complete(upload, [{ ...one, ETag: '"x"' }])).rejects.toMatchObject({ name: 'InvalidPart' });
      await expect(complete(upload, [{ ...one, PartNumber: 9 }])).rejects.toMatchObject({ name: 'InvalidPart' });
      await expect(complete(upload, [])).rejects.toMatchObject({ name: 'MalformedXML' });
      const path = `/${testBucket}/parts/refused`;
      const query = { uploadId: upload.UploadId };
      expect((await raw({ method: 'POST', path, query, body: '<nonsense' })).code).toBe('MalformedXML');
      expect((await raw({ method: 'PUT', path, query: { ...query, partNumber: '10001' }, body: 'x' })).code).toBe(
        'InvalidArgument',
      );
      const other = { ...upload, Key: 'parts/other' };
      await expect(complete(other, [one])).rejects.toMatchObject({ name: 'NoSuchUpload' });
      for (const UploadId of ['0'.repeat(32), '../../../etc', 'x']) {
        await expect(complete({ ...upload, UploadId }, [one])).rejects.toMatchObject({ name: 'NoSuchUpload' });
      }
      expect(await embedded.store.head('parts/refused')).toBeUndefined();
      await client.send(new AbortMultipartUploadCommand(upload));
      await expect(send(upload, 3, Buffer.from('late'))).rejects.toMatchObject({ name: 'NoSuchUpload' });
    });

    it('lets one of several conditional completions win', async () => {
      const uploads = await Promise.all(Array.from({ length: 6 }, () => begin('parts/once')));
      const outcomes = await Promise.allSettled(
        uploads.map(async (upload, index) =>
          complete(upload, [await send(upload, 1, Buffer.from(`upload ${index}`))], { IfNoneMatch: '*' }),
        ),
      );
      expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    });
  });

  describe('what is not implemented', () => {
    it('answers 501 and touches no object', async () => {
      await put('untouched', 'body');
      const Tagging = { TagSet: [{ Key: 'a', Value: 'b' }] };
      const requests = [
        () => client.send(new PutObjectTaggingCommand({ Bucket, Key: 'untouched', Tagging })),
        () => client.send(new GetObjectTaggingCommand({ Bucket, Key: 'untouched' })),
        () => client.send(new GetBucketNotificationConfigurationCommand({ Bucket })),
        () =>
          client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules: [] } })),
        () => client.send(new GetObjectCommand({ Bucket, Key: 'untouched', VersionId: 'v1' })),
      ];
      for (const request of requests) {
        await expect(request()).rejects.toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } });
      }
      expect(await textOf('untouched')).toBe('body');
    });

    it('rejects methods that are none', async () => {
      expect((await raw({ method: 'PATCH', path: `/${testBucket}/untouched` })).status).toBe(405);
      expect((await raw({ method: 'DELETE', path: `/${testBucket}` })).status).toBe(405);
    });
  });

  describe('keys', () => {
    it('does not let a path climb out of its bucket', async () => {
      for (const key of [
        '../escaped',
        '../../second-bucket/keys/x@',
        'a/../../b',
        './',
        '..',
        '/',
        '//',
        '%2e%2e/up',
      ]) {
        const path = `/${testBucket}/${key.split('/').map(encodeURIComponent).join('/')}`;
        expect((await raw({ method: 'PUT', path, body: key })).status, key).toBe(200);
        expect((await raw({ method: 'GET', path })).text, key).toBe(key);
      }
      const names = await readdir(join(embedded.dataDir, 'buckets'));
      expect(names.sort()).toEqual(['quire-test', 'second-bucket', 'third-bucket']);
    });

    it('rejects NUL, broken UTF-8 and too long keys', async () => {
      expect((await raw({ method: 'PUT', path: `/${testBucket}/a%00b`, body: 'x' })).code).toBe('InvalidURI');
      const host = { host: new URL(embedded.server.endpoint).host };
      const broken = await sendRaw(embedded.server.endpoint, {
        method: 'GET',
        target: `/${testBucket}/%ff`,
        headers: host,
      });
      expect(broken.code).toBe('InvalidURI');
      expect((await raw({ method: 'PUT', path: `/${testBucket}/${'k'.repeat(1025)}`, body: 'x' })).code).toBe(
        'KeyTooLongError',
      );
    });
  });

  describe('events', () => {
    it('tells of each object once it is there, and survives a hook that fails', async () => {
      events.length = 0;
      const { ETag } = await put('events/a', 'abc');
      await put('events/bad');
      await client.send(new CopyObjectCommand({ Bucket, Key: 'events/b', CopySource: `${testBucket}/events/a` }));
      await embedded.store.putStream('events/c', Readable.from([Buffer.alloc(9 * mebibyte)]));
      await expect.poll(() => events.length).toBe(4);
      expect(events.map(({ name, key, bytes }) => [name, key, bytes])).toEqual([
        ['ObjectCreated:Put', 'events/a', 3],
        ['ObjectCreated:Put', 'events/bad', 1],
        ['ObjectCreated:Copy', 'events/b', 3],
        ['ObjectCreated:CompleteMultipartUpload', 'events/c', 9 * mebibyte],
      ]);
      expect(`"${events[0]?.etag}"`).toBe(ETag);
      const failure = expect.objectContaining({ level: 'error', message: 'object event not handled' });
      await expect.poll(() => log.lines).toContainEqual(failure);
    });
  });

  describe('start and stop', () => {
    const open = (dataDir: string, options: object = {}) =>
      openEmbeddedS3({
        dataDir,
        port: 0,
        credentials: testCredentials,
        buckets: [testBucket],
        log: silentLogger,
        ...options,
      });

    it('keeps objects and open uploads over a restart, and removes what was half written', async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'quire-s3-restart-'));
      const first = await openEmbeddedStore({ dataDir });
      const longKey = 'long/'.repeat(200);
      for (const key of ['plain', 'a//b/', longKey])
        await first.store.put(key, Buffer.from(key), { metadata: { m: key.slice(0, 5) } });
      const firstClient = clientOf(first.server.endpoint);
      const upload = { Bucket, Key: 'resumed' };
      const { UploadId } = await firstClient.send(new CreateMultipartUploadCommand(upload));
      const part = await firstClient.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body: 'part' }));
      firstClient.destroy();
      await first.close();
      await writeFile(join(dataDir, 'tmp', 'left-over'), 'half');

      const second = await openEmbeddedStore({ dataDir });
      expect(await readdir(join(dataDir, 'tmp'))).toEqual([]);
      const keys = (await second.store.list('')).objects.map(({ key }) => key);
      expect(keys).toEqual(['a//b/', longKey, 'plain']);
      expect(await second.store.get(longKey)).toMatchObject({ metadata: { m: 'long/' }, bytes: 1000 });
      const secondClient = clientOf(second.server.endpoint);
      const Parts = [{ PartNumber: 1, ETag: part.ETag }];
      await secondClient.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }));
      expect(Buffer.from((await second.store.get('resumed'))?.body ?? []).toString()).toBe('part');
      secondClient.destroy();
      await second.close();
      await rm(dataDir, { recursive: true });
    });

    it('finishes running requests before it closes', async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'quire-s3-close-'));
      const server = await openEmbeddedStore({ dataDir });
      const writes = Promise.allSettled(
        Array.from({ length: 20 }, (_, index) => server.store.put(`k${index}`, Buffer.alloc(100_000))),
      );
      await expect
        .poll(async () => (await readdir(join(dataDir, 'buckets', testBucket, 'keys'))).length)
        .toBeGreaterThan(0);
      const beganMs = Date.now();
      await server.close();
      expect(Date.now() - beganMs).toBeLessThan(4000);
      expect(await readdir(join(dataDir, 'tmp'))).toEqual([]);
      await writes;
      await rm(dataDir, { recursive: true });
    });

    it('listens on loopback only and says when a port is taken', async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'quire-s3-host-'));
      for (const host of ['0.0.0.0', '::', '192.168.1.1', 'example.org']) {
        await expect(open(dataDir, { host })).rejects.toMatchObject({ code: 'input.config' });
      }
      const port = embedded.server.port;
      await expect(open(dataDir, { port })).rejects.toMatchObject({ code: 'input.port-taken', details: { port } });
      await rm(dataDir, { recursive: true });
    });

    it('removes uploads that nobody completed for a day, and keeps younger ones', async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'quire-s3-uploads-'));
      const begin = async (nowMs: number, Key: string): Promise<readonly string[]> => {
        const server = await open(dataDir, { nowMs: () => nowMs });
        const send = (method: string, path: string) =>
          rawTo(server.endpoint, { method, path, query: { uploads: '' }, atMs: nowMs });
        expect((await send('POST', `/${testBucket}/${Key}`)).status).toBe(200);
        const { text } = await send('GET', `/${testBucket}`);
        await server.close();
        return [...text.matchAll(/<Key>([^<]*)<\/Key>/g)].map(([, key]) => key ?? '');
      };
      const startMs = Date.now();
      const hourMs = 3_600_000;
      expect(await begin(startMs, 'first')).toEqual(['first']);
      expect(await begin(startMs + 20 * hourMs, 'second')).toEqual(['first', 'second']);
      expect(await begin(startMs + 30 * hourMs, 'third')).toEqual(['second', 'third']);
      await rm(dataDir, { recursive: true });
    });

    it('tells a damaged object from an absent one', async () => {
      // longer than what the server keeps in memory
      await put('damaged', 'body'.repeat(10_000));
      await writeFile(join(embedded.dataDir, 'buckets', testBucket, 'keys', 'damaged@'), 'cut');
      await expect(textOf('damaged')).rejects.toMatchObject({ name: 'InternalError' });
      const failure = expect.objectContaining({ level: 'error', message: 'request failed' });
      expect(log.lines).toContainEqual(failure);
    });

    it('stores a checksum by which the adapter finds a changed byte', async () => {
      await embedded.store.put('flipped', Buffer.from('body of the object'.repeat(1_000)));
      const path = join(embedded.dataDir, 'buckets', testBucket, 'keys', 'flipped@');
      const file = await readFile(path);
      file.write('B');
      await writeFile(path, file);
      await expect(embedded.store.get('flipped')).rejects.toMatchObject({ code: 'corrupt.checksum' });
      const found = await embedded.store.getStream('flipped');
      await expect(found && buffer(found.stream)).rejects.toMatchObject({ code: 'corrupt.checksum' });
    });
  });
});

/** Sends text over a connection and gives back the first piece of the answer. */
function talk(port: number, text: string): Promise<string> {
  return new Promise((done, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.once('data', (bytes) => {
      done(bytes.toString());
      socket.destroy();
    });
    socket.once('error', reject);
  });
}
